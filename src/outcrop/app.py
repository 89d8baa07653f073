"""THE page: settings -> parts -> rooms -> an ASGI application, and the one order in which a request is answered."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import hashlib
import inspect
import logging
import os
import signal
import sys
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import orjson

from outcrop.audit.record import Event as AuditEvent
from outcrop.audit.trail import Trail
from outcrop.authorization import Authorizer
from outcrop.batch.async_run import AsyncRun
from outcrop.batch.run import BatchRun
from outcrop.batch.service import Service as BatchService
from outcrop.batch.submitted import ASYNC, BATCH
from outcrop.compatible.endpoint import Answered, Asking, Endpoint, Event, unauthenticated
from outcrop.compatible.routes import Routes
from outcrop.context import Context, Parts
from outcrop.engines import attempts
from outcrop.engines.admission import ask_as
from outcrop.engines.cores import usable_cores
from outcrop.engines.pool import Engines
from outcrop.errors import AwsError, InternalServerException, NotBuiltException, ServiceUnavailableException
from outcrop.identity import sts
from outcrop.identity.access import Access
from outcrop.identity.authenticate import Authenticator
from outcrop.identity.caller import Caller
from outcrop.identity.credentials import Credentials
from outcrop.identity.first_start import ensure_administrator
from outcrop.identity.sessions import Sessions
from outcrop.identity.sts import Sts, is_for_sts
from outcrop.invocation_logs.configurations import Configurations
from outcrop.invocation_logs.delivery import Delivery
from outcrop.invocation_logs.invocations import Invocations
from outcrop.jobs.service import Service as JobService
from outcrop.models.catalogue import Catalogue
from outcrop.models.specs import all_specs
from outcrop.objects.door.door import ObjectsDoor, Told
from outcrop.objects.door.signatures import Signatures
from outcrop.objects.places import Places
from outcrop.quotas.quotas import Quotas
from outcrop.request import HttpRequest
from outcrop.serve.asgi import (
    ClientGone,
    DisconnectWatch,
    Receive,
    Reply,
    Scope,
    Send,
    read_body,
    request_of,
    send_reply,
)
from outcrop.serve.logs import RequestLog, configure
from outcrop.settings import Settings, database_of, home, load
from outcrop.store.database import Database, DatabaseError
from outcrop.store.keyfile import Vault
from outcrop.telemetry.setup import observer
from outcrop.wire.model import Operation, load_services
from outcrop.wire.operations import registered
from outcrop.wire.routes import Router
from outcrop.wire.write import write_error, write_event, write_exception, write_response

Handler = Callable[[Context, dict[str, Any]], Any]

# Hashing a body this large takes longer than handing it to a thread.
HASH_IN_THREAD_BYTES = 256 * 1024

logger = logging.getLogger("outcrop.app")


def handlers() -> Mapping[tuple[str, str], Handler]:
    """Every operation that is built. The rooms are listed here and nowhere else."""
    import outcrop.batch.async_operations
    import outcrop.batch.operations
    import outcrop.inference.operations
    import outcrop.invocation_logs.operations
    import outcrop.models.operations
    import outcrop.resource_policies.operations
    import outcrop.tags.operations  # noqa: F401 - importing a room registers its operations

    return registered()


def create() -> App:
    """The application of a server process that `outcrop serve` started."""
    _die_with_parent()
    given = os.environ.get("OUTCROP_SERVE")
    settings = msgspec.json.decode(given, type=Settings) if given else load()
    configure(settings.server.log)
    app = App(settings, home())
    _settle_memory()
    return app


def _settle_memory() -> None:
    """What was made at start stays for good: the collector need not walk through it again, nor start at every 700 objects."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


class App:
    def __init__(self, settings: Settings, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        vault = Vault.open(folder)
        database = Database.open(database_of(settings, folder))
        ensure_administrator(database, vault)
        engines = Engines(all_specs(settings), settings.engines, home=folder, offline=settings.network == "none")
        self.parts = Parts(
            settings=settings,
            database=database,
            engines=engines,
            catalogue=Catalogue(settings, database, engines),
            objects=Places(settings, database, folder),
            vault=vault,
            clock=lambda: datetime.now(UTC),
            observer=observer(settings, engines),
            quotas=Quotas(settings.quotas) if settings.quotas else None,
        )
        credentials, sessions = Credentials(database, vault), Sessions(vault)
        self.authenticator = Authenticator(
            credentials,
            sessions,
            clock=self.parts.clock,
            window_seconds=settings.identity.window_seconds,
            insecure_no_auth=settings.identity.insecure_no_auth,
        )
        access = Access(database)
        self.authorizer = Authorizer(access, database, self.parts.catalogue, self.parts.clock)
        self.sts = Sts(database, vault, access, self.parts.clock)
        self.objects = ObjectsDoor(
            self.parts.objects,
            Signatures(
                credentials,
                sessions,
                clock=self.parts.clock,
                window_seconds=settings.identity.window_seconds,
                insecure_no_auth=settings.identity.insecure_no_auth,
            ),
            self.authorizer.permit,
            settings,
        )
        operations = load_services().operations
        self.router = Router(operations.values())
        self.handlers = handlers()
        # After the rooms, which register their kinds of jobs.
        self.jobs = JobService(
            database,
            folder / "logs" / "jobs",
            at_once=usable_cores() if settings.jobs.at_once is None else settings.jobs.at_once,
            limits=settings.jobs.limits,
            clock=self.parts.clock,
        )
        self.batch = BatchService(
            database,
            {BATCH: BatchRun(self.parts, operations), ASYNC: AsyncRun(self.parts, operations)},
            at_once=settings.batch.at_once,
            clock=self.parts.clock,
        )
        self.compatible = Routes()
        delivery = Delivery(self.parts.objects.of, self.parts.clock)
        self.invocations = Invocations(Configurations(database), delivery)
        self.log = RequestLog(settings.server.log)
        self.trail = Trail(folder / "audit", vault, self.parts.clock) if settings.audit.enabled else None

    async def answer(self, request: HttpRequest, call: Call) -> Reply:
        """The order of everything, once."""
        if is_for_sts(request):
            return await self._answer_sts(request, call)
        if (found := self.compatible.find(request)) is not None:
            return await self._answer_compatible(*found, request, call)
        operation, labels = self.router.find(request.method, request.raw_path, request.query)
        call.operation, call.labels = operation, labels
        call.caller = caller = self.authenticator.authenticate(
            request, operation.service, body_hash=await _body_hash(request.body)
        )
        params = operation.read(request, labels)
        operation.check(params)
        self.authorizer.check(caller, operation, params, request, self._region(caller))
        handler = self.handlers.get((operation.service, operation.name))
        if handler is None:
            raise NotBuiltException(
                f"{operation.name} is not built in this version of Outcrop. See `outcrop operations`."
            )
        context = self._context(caller, request, call)
        invocation = self.invocations.begun(context, operation.name, request.body, params)
        try:
            if inspect.iscoroutinefunction(handler):
                response = await handler(context, params)
            else:
                response = await asyncio.to_thread(handler, context, params)
        except AwsError as error:
            if invocation is not None:
                invocation.failed(error)
            raise
        if invocation is not None:
            response = invocation.answered(response)
        return _reply(operation, response, context, call)

    async def _answer_compatible(
        self, endpoint: Endpoint, labels: dict[str, str], request: HttpRequest, call: Call
    ) -> Reply:
        """The same order for OpenAI's and Anthropic's interfaces; checking is up to the endpoint."""
        call.endpoint = endpoint
        try:
            call.caller = caller = self.authenticator.authenticate(
                endpoint.dialect.identified(request), "bedrock-runtime", body_hash=await _body_hash(request.body)
            )
        except AwsError as error:
            raise unauthenticated(error) from None
        asking = Asking(labels, request)
        call.labels = {**labels, **_model_named(asking)}
        self.authorizer.check_compatible(caller, endpoint, asking, self._region(caller))
        context = self._context(caller, request, call)
        answered = await endpoint.handler(context, asking)
        return _compatible_reply(endpoint, answered, context, call)

    async def _answer_sts(self, request: HttpRequest, call: Call) -> Reply:
        """The token service has another protocol, for errors too."""
        call.sts = sts.name_of(request)
        status = 200
        try:
            call.caller = caller = self.authenticator.authenticate(
                request, "sts", body_hash=await _body_hash(request.body)
            )
            body = self.sts.answer(caller, request, self._region(caller), call.request_id)
        except AwsError as error:
            call.error = error.code
            status, body = sts.error(error, call.request_id)
        return Reply(status, _encoded([("content-type", "text/xml"), ("x-amzn-requestid", call.request_id)]), body)

    def _context(self, caller: Caller, request: HttpRequest, call: Call) -> Context:
        attempts.begin()
        ask_as(caller.account)
        region = self._region(caller)
        return Context(
            caller,
            region,
            call.request_id,
            self.parts,
            traceparent=request.header("traceparent"),
            permit=self.authorizer.permit(caller, request, region),
        )

    def _region(self, caller: Caller) -> str:
        return caller.region or self.parts.settings.region

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = Call()
        if self.objects.takes(scope):
            await self._objects(scope, receive, send, call)
            return
        watch: DisconnectWatch | None = None
        status = 499
        try:
            body = await read_body(scope, receive, self.parts.settings.server.max_body_bytes)
            request = request_of(scope, body)
            watch = DisconnectWatch(receive)
            if (reply := self._status(request)) is None:
                reply = await self.answer(request, call)
                self._audit(scope, call)
            status = reply.status
            await send_reply(reply, send)
        except AwsError as error:
            call.error = error.code
            self._audit(scope, call)
            status = await self._send_error(error, call, send)
        except ClientGone:
            call.error = "ClientDisconnected"
        except asyncio.CancelledError:
            if watch is None or not watch.gone:
                raise
            call.error, status = "ClientDisconnected", 499
        except DatabaseError as problem:
            logger.error("%s", problem, extra={"request_id": call.request_id})
            call.error = "ServiceUnavailableException"
            self._audit(scope, call)
            status = await self._send_error(_unavailable(call), call, send)
        except Exception:
            logger.exception("unhandled", extra={"request_id": call.request_id})
            call.error = "InternalServerException"
            self._audit(scope, call)
            status = await self._send_error(_internal(call), call, send)
        finally:
            if call.name is not None:
                self._audit(scope, call)
            if watch is not None:
                watch.end()
            self._log(scope, call, status)

    async def _objects(self, scope: Scope, receive: Receive, send: Send, call: Call) -> None:
        """S3 has an order of its own, since what it takes and gives is not held in memory."""

        def record() -> None:
            call.objects, call.caller, call.error, call.labels = told.name, told.caller, told.error, told.labels
            self._audit(scope, call)

        told = Told(record)
        try:
            await self.objects.answer(scope, receive, send, call.request_id, told)
        finally:
            record()
            self._log(scope, call, told.status)

    async def _send_error(self, error: AwsError, call: Call, send: Send) -> int:
        call.error = error.code
        if call.endpoint is not None:
            status, headers, body = _compatible_error(call.endpoint, error, call.request_id)
        else:
            status, headers, body = write_error(call.operation, error, call.request_id)
        with contextlib.suppress(ConnectionError):
            await send_reply(Reply(status, _encoded(headers), body), send)
        return status

    def _audit(self, scope: Scope, call: Call) -> None:
        """Written down before the call is answered, once."""
        if self.trail is None or call.audited:
            return
        call.audited = True
        address = scope.get("client")
        agent = next((value for name, value in scope["headers"] if name == b"user-agent"), None)
        self.trail.write(
            AuditEvent(
                service="s3" if call.objects else "sts" if call.sts else "bedrock",
                name=(call.name or "Unknown").removeprefix("s3."),
                time=self.parts.clock(),
                region=(call.caller.region if call.caller else None) or self.parts.settings.region,
                request_id=call.request_id,
                address=address[0] if address else None,
                agent=None if agent is None else agent.decode("latin-1"),
                caller=call.caller,
                error=call.error,
                labels=call.labels,
            )
        )

    def _log(self, scope: Scope, call: Call, status: int) -> None:
        seconds = time.perf_counter() - call.started
        if self.parts.observer is not None:
            self.parts.observer.request(call.name or "none", status, call.error, seconds)
        tried = attempts.read()
        self.log.write(
            status=status,
            operation=call.name,
            ms=round(seconds * 1000, 2),
            request_id=call.request_id,
            account=call.caller.account if call.caller else None,
            principal=call.caller.arn if call.caller else None,
            error=call.error,
            engines=[f"{engine}: {outcome}" for engine, outcome in tried] if len(tried) > 1 else None,
            path=None if call.name else f"{scope['method']} {scope['raw_path'].decode('latin-1')[:200]}",
        )

    def _status(self, request: HttpRequest) -> Reply | None:
        """`/health`: the server runs. `/ready`: 200 if database and engines could answer now, else 503; both unsigned."""
        if request.method != "GET" or request.raw_path not in ("/health", "/ready"):
            return None
        engines = self.parts.engines.status()
        ready, database = True, {}
        if request.raw_path == "/ready":
            database = {"database": "ready" if self._database_answers() else "failed"}
            ready = "failed" not in (*database.values(), *(engine["state"] for engine in engines))
        body = orjson.dumps({"status": "ok" if ready else "degraded", **database, "engines": engines})
        return Reply(200 if ready else 503, [(b"content-type", b"application/json")], body)

    def _database_answers(self) -> bool:
        try:
            self.parts.database.version()
        except DatabaseError:
            return False
        return True

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.parts.objects.store.sweep_aside()
                await self.parts.engines.prewarm()
                self.jobs.start()
                self.batch.start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await asyncio.to_thread(self.jobs.close)
                await asyncio.to_thread(self.batch.close)
                await self.parts.engines.close()
                if self.parts.observer is not None:
                    self.parts.observer.close()
                await asyncio.to_thread(self.invocations.delivery.close)
                if self.trail is not None:
                    self.trail.close()
                self.parts.database.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


class Call:
    """What the log line says about a request."""

    __slots__ = (
        "audited",
        "caller",
        "endpoint",
        "error",
        "labels",
        "objects",
        "operation",
        "request_id",
        "started",
        "sts",
    )

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.request_id = str(uuid.uuid4())
        self.operation: Operation | None = None
        self.labels: Mapping[str, str] = {}
        self.audited = False
        self.endpoint: Endpoint | None = None
        self.sts: str | None = None
        self.objects: str | None = None
        self.caller: Caller | None = None
        self.error: str | None = None

    @property
    def name(self) -> str | None:
        if self.sts is not None:
            return self.sts
        if self.objects is not None:
            return self.objects
        if self.endpoint is not None:
            return self.endpoint.name
        return self.operation.name if self.operation else None


def _model_named(asking: Asking) -> dict[str, str]:
    """The model of a body, for the audit trail; a large body is not read for that alone."""
    if not asking.request.body or len(asking.request.body) > HASH_IN_THREAD_BYTES:
        return {}
    with contextlib.suppress(AwsError):
        model = asking.body().get("model")
        return {"model": model} if isinstance(model, str) else {}
    return {}


async def _body_hash(body: bytes) -> str | None:
    """SHA-256 of a large body, made off the loop; None lets the authenticator do it."""
    if len(body) < HASH_IN_THREAD_BYTES:
        return None
    return await asyncio.to_thread(lambda: hashlib.sha256(body).hexdigest())


def _reply(operation: Operation, response: dict[str, Any], context: Context, call: Call) -> Reply:
    status, headers, body = write_response(operation, response)
    headers.append(("x-amzn-requestid", call.request_id))
    headers.extend(context.response_headers.items())
    stream = operation.output_event_stream
    if stream is None:
        return Reply(status, _encoded(headers), body)
    return Reply(status, _encoded(headers), _frames(operation, response[stream], call))


async def _frames(
    operation: Operation, events: AsyncIterator[dict[str, Any]], call: Call
) -> AsyncGenerator[bytes, None]:
    """Events as frames; an error after the first byte is an exception frame, and the last one."""
    try:
        async for event in events:
            yield write_event(operation, event)
    except AwsError as error:
        call.error = error.code
        yield write_exception(operation, error)
    except Exception:
        call.error = "InternalServerException"
        logger.exception("unhandled in stream", extra={"request_id": call.request_id})
        yield write_exception(operation, _internal(call))
    finally:
        if isinstance(events, AsyncGenerator):
            await events.aclose()


def _compatible_reply(endpoint: Endpoint, answered: Answered, context: Context, call: Call) -> Reply:
    headers = [(endpoint.dialect.request_id_header(), call.request_id), ("x-amzn-requestid", call.request_id)]
    headers.extend(context.response_headers.items())
    if isinstance(answered, dict):
        headers.append(("content-type", "application/json"))
        return Reply(200, _encoded(headers), orjson.dumps(answered))
    headers += [("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")]
    return Reply(200, _encoded(headers), _sent_events(endpoint, answered, call))


async def _sent_events(
    endpoint: Endpoint, events: AsyncGenerator[Event, None], call: Call
) -> AsyncGenerator[bytes, None]:
    """Server-sent events; an error after the first byte is an event, and the last one."""
    dialect = endpoint.dialect
    event: Event = {}
    try:
        async for event in events:
            yield dialect.frame(event)
        if end := dialect.end(event):
            yield end
    except AwsError as error:
        call.error = error.code
        yield dialect.failure(error, call.request_id)
    except Exception:
        call.error = "InternalServerException"
        logger.exception("unhandled in stream", extra={"request_id": call.request_id})
        yield dialect.failure(_internal(call), call.request_id)
    finally:
        await events.aclose()


def _compatible_error(endpoint: Endpoint, error: AwsError, request_id: str) -> tuple[int, list[tuple[str, str]], bytes]:
    status, body = endpoint.dialect.error(error, request_id)
    headers = [(endpoint.dialect.request_id_header(), request_id), ("content-type", "application/json")]
    return status, [*headers, ("x-amzn-requestid", request_id), *error.headers.items()], orjson.dumps(body)


def _internal(call: Call) -> InternalServerException:
    return InternalServerException(f"An internal error occurred. Request ID: {call.request_id}")


def _unavailable(call: Call) -> ServiceUnavailableException:
    return ServiceUnavailableException(f"The service is temporarily unavailable. Request ID: {call.request_id}")


def _encoded(headers: list[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]


def _die_with_parent() -> None:
    """A worker does not outlive `outcrop serve`, however that ends (Linux; elsewhere granian's own shutdown must do)."""
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
