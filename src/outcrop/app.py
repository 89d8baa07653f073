"""THE page: settings -> parts -> rooms -> an ASGI application, and the one order in which a request is answered."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from outcrop.audit.trail import Trail
from outcrop.authorization import Authorizer
from outcrop.batch.async_run import AsyncRun
from outcrop.batch.run import BatchRun
from outcrop.batch.service import Service as BatchService
from outcrop.batch.submitted import ASYNC, BATCH
from outcrop.books import Books
from outcrop.call import Call, body_hash, model_named
from outcrop.compatible.endpoint import Asking, Endpoint, unauthenticated
from outcrop.compatible.routes import Routes
from outcrop.context import Context, Parts
from outcrop.customization.service import service as customization_service
from outcrop.engines import attempts
from outcrop.engines.admission import ask_as
from outcrop.engines.cores import usable_cores
from outcrop.engines.pool import Engines
from outcrop.errors import AwsError, NotBuiltException
from outcrop.evaluation.jobs import EVALUATION
from outcrop.evaluation.jobs.run import WAITING, EvaluationRun
from outcrop.extensions import operations as own_operations
from outcrop.health import health
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
from outcrop.model_import.run import KIND as IMPORT
from outcrop.model_import.run import ImportRun
from outcrop.models.catalogue import Catalogue
from outcrop.models.specs import all_specs
from outcrop.objects.door.door import ObjectsDoor, Told
from outcrop.objects.door.signatures import Signatures
from outcrop.objects.places import Places
from outcrop.pretraining.operations import HANDLERS as PRETRAINING
from outcrop.pretraining.service import service as pretraining_service
from outcrop.quotas.quotas import Quotas
from outcrop.replies import aws_reply, compatible_reply, encoded, error_reply, internal, unavailable
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
from outcrop.wire.model import load_services
from outcrop.wire.operations import registered
from outcrop.wire.routes import Router

Handler = Callable[[Context, dict[str, Any]], Any]

logger = logging.getLogger("outcrop.app")


def handlers() -> Mapping[tuple[str, str], Handler]:
    """Every operation that is built. The rooms are listed here and nowhere else."""
    import outcrop.batch.async_operations
    import outcrop.batch.operations
    import outcrop.customization.operations
    import outcrop.data_retention.operations
    import outcrop.evaluation.jobs.operations
    import outcrop.inference.operations
    import outcrop.invocation_logs.operations
    import outcrop.model_import.operations
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
            quotas=Quotas(settings.quotas, database) if settings.quotas else None,
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
        self.router = Router([*operations.values(), *own_operations().values()])
        self.handlers = {**handlers(), **PRETRAINING}
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
            {
                BATCH: BatchRun(self.parts, operations),
                ASYNC: AsyncRun(self.parts, operations),
                IMPORT: ImportRun(self.parts),
            },
            at_once=settings.batch.at_once,
            clock=self.parts.clock,
        )
        # Jobs that wait for people take no place of those that ask models, and there may be many.
        self.evaluation = BatchService(
            database,
            {EVALUATION: EvaluationRun(self.parts, operations)},
            at_once=WAITING if settings.evaluation.at_once else 0,
            clock=self.parts.clock,
        )
        self.customization = customization_service(self.parts)
        self.pretraining = pretraining_service(self.parts)
        self.compatible = Routes()
        delivery = Delivery(self.parts.objects.of, self.parts.clock)
        self.invocations = Invocations(Configurations(database), delivery)
        trail = Trail(folder / "audit", vault, self.parts.clock) if settings.audit.enabled else None
        log = RequestLog(settings.server.log)
        self.books = Books(log, trail, self.parts.observer, self.parts.clock, settings.region)

    async def answer(self, request: HttpRequest, call: Call) -> Reply:
        """The order of everything, once."""
        if is_for_sts(request):
            return await self._answer_sts(request, call)
        if (found := self.compatible.find(request)) is not None:
            return await self._answer_compatible(*found, request, call)
        operation, labels = self.router.find(request.method, request.raw_path, request.query)
        call.operation, call.labels = operation, labels
        call.caller = caller = self.authenticator.authenticate(
            request, operation.service, body_hash=await body_hash(request.body)
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
        return aws_reply(operation, response, context, call)

    async def _answer_compatible(
        self, endpoint: Endpoint, labels: dict[str, str], request: HttpRequest, call: Call
    ) -> Reply:
        """The same order for OpenAI's and Anthropic's interfaces; checking is up to the endpoint."""
        call.endpoint = endpoint
        try:
            call.caller = caller = self.authenticator.authenticate(
                endpoint.dialect.identified(request), "bedrock-runtime", body_hash=await body_hash(request.body)
            )
        except AwsError as error:
            raise unauthenticated(error) from None
        asking = Asking(labels, request)
        call.labels = {**labels, **model_named(asking)}
        self.authorizer.check_compatible(caller, endpoint, asking, self._region(caller))
        context = self._context(caller, request, call)
        answered = await endpoint.handler(context, asking)
        return compatible_reply(endpoint, answered, context, call)

    async def _answer_sts(self, request: HttpRequest, call: Call) -> Reply:
        """The token service has another protocol, for errors too."""
        call.sts = sts.name_of(request)
        status = 200
        try:
            call.caller = caller = self.authenticator.authenticate(
                request, "sts", body_hash=await body_hash(request.body)
            )
            body = self.sts.answer(caller, request, self._region(caller), call.request_id)
        except AwsError as error:
            call.error = error.code
            status, body = sts.error(error, call.request_id)
        return Reply(status, encoded([("content-type", "text/xml"), ("x-amzn-requestid", call.request_id)]), body)

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
            if (reply := health(request, self.parts.engines, self.parts.database)) is None:
                reply = await self.answer(request, call)
                self.books.audit(scope, call)
            status = reply.status
            await send_reply(reply, send)
        except AwsError as error:
            status = await self._refuse(error, scope, call, send)
        except ClientGone:
            call.error = "ClientDisconnected"
        except asyncio.CancelledError:
            if watch is None or not watch.gone:
                raise
            call.error, status = "ClientDisconnected", 499
        except DatabaseError as problem:
            logger.error("%s", problem, extra={"request_id": call.request_id})
            status = await self._refuse(unavailable(call), scope, call, send)
        except Exception:
            logger.exception("unhandled", extra={"request_id": call.request_id})
            status = await self._refuse(internal(call), scope, call, send)
        finally:
            if call.name is not None:
                self.books.audit(scope, call)
            if watch is not None:
                watch.end()
            self.books.log(scope, call, status)

    async def _objects(self, scope: Scope, receive: Receive, send: Send, call: Call) -> None:
        """S3 has an order of its own, since what it takes and gives is not held in memory."""

        def record() -> None:
            call.objects, call.caller, call.error, call.labels = told.name, told.caller, told.error, told.labels
            self.books.audit(scope, call)

        told = Told(record)
        try:
            await self.objects.answer(scope, receive, send, call.request_id, told)
        finally:
            record()
            self.books.log(scope, call, told.status)

    async def _refuse(self, error: AwsError, scope: Scope, call: Call, send: Send) -> int:
        call.error = error.code
        self.books.audit(scope, call)
        reply = error_reply(error, call)
        with contextlib.suppress(ConnectionError):
            await send_reply(reply, send)
        return reply.status

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self.parts.objects.store.sweep_aside()
                await self.parts.engines.prewarm()
                self.jobs.start()
                self.batch.start()
                self.customization.start()
                self.pretraining.start()
                self.evaluation.start()
                if self.parts.quotas is not None:
                    self.parts.quotas.start()
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                await asyncio.to_thread(self.jobs.close)
                await asyncio.to_thread(self.batch.close)
                await asyncio.to_thread(self.customization.close)
                await asyncio.to_thread(self.pretraining.close)
                await asyncio.to_thread(self.evaluation.close)
                await self.parts.engines.close()
                if self.parts.quotas is not None:
                    await self.parts.quotas.close()
                await asyncio.to_thread(self.invocations.delivery.close)
                await asyncio.to_thread(self.books.close)
                self.parts.database.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def _die_with_parent() -> None:
    """A worker does not outlive `outcrop serve`, however that ends (Linux; elsewhere granian's own shutdown must do)."""
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
