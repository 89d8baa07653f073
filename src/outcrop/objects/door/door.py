"""The order in which an S3 request is answered: who, what, whether, then its body, then the operation, in a thread."""

from __future__ import annotations

import asyncio
import logging
import urllib.parse
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from outcrop.errors import AwsError
from outcrop.identity import sigv4
from outcrop.identity.caller import Caller
from outcrop.objects.checksums import Checksum
from outcrop.objects.door import content, encryption, failures, routes
from outcrop.objects.door.address import bucket_and_key, bucket_of_host, is_for_s3
from outcrop.objects.door.buckets import own_bucket
from outcrop.objects.door.call import Answer, Call, arn, parameters
from outcrop.objects.door.headers import refuse_not_built
from outcrop.objects.door.multipart import upload_of
from outcrop.objects.door.routes import Route
from outcrop.objects.door.signatures import Proven, Signatures
from outcrop.objects.errors import ObjectsError, access_denied
from outcrop.objects.names import check_bucket, check_key
from outcrop.objects.objects import Reading
from outcrop.objects.places import Places
from outcrop.request import HttpRequest
from outcrop.serve.asgi import ClientGone, DisconnectWatch, Receive, Reply, Scope, Send, request_of, send_reply
from outcrop.settings import Settings

# Of a body that is refused, so much is read and dropped, so that the client still listens when it is told why.
DROPPED_BYTES = 16 * 1024 * 1024
DROP_SECONDS = 10.0

# What of a presigned link's query stands for a header.
_HEADERS = ("x-amz-", "content-type", "content-md5")

Permit = Callable[[Caller, HttpRequest, str], Callable[[str, str], None]]

logger = logging.getLogger("outcrop.objects")


@dataclass(slots=True)
class Told:
    """What the log and the audit trail say of a request. `record` is called when all is known, before it is answered."""

    record: Callable[[], None]
    status: int = 499
    name: str | None = None
    caller: Caller | None = None
    error: str | None = None
    labels: dict[str, str] = field(default_factory=dict)


class ObjectsDoor:
    """`permit` makes the function that asks the policies of a caller."""

    def __init__(self, places: Places, signatures: Signatures, permit: Permit, settings: Settings) -> None:
        self._store = places.store
        self._elsewhere = places.endpoint
        self._signatures = signatures
        self._permit = permit
        self._hosts = settings.objects.hosts
        self._region = settings.region

    def takes(self, scope: Scope) -> bool:
        return is_for_s3(scope["headers"], scope["query_string"])

    async def answer(self, scope: Scope, receive: Receive, send: Send, request_id: str, told: Told) -> None:
        incoming = _Incoming(receive, scope["http_version"])
        watch: DisconnectWatch | None = None
        request = request_of(scope, b"")
        try:
            answer = await self._answered(request, incoming, told)
            told.status = answer.status
            told.record()
            watch = DisconnectWatch(receive)
            await send_reply(_reply(answer, request, request_id), send)
        except ObjectsError as problem:
            await self._send_error(problem, request, incoming, told, request_id, send)
        except ClientGone:
            told.error = "ClientDisconnected"
        except asyncio.CancelledError:
            if watch is None or not watch.gone:
                raise
            told.status, told.error = 499, "ClientDisconnected"
        except Exception:
            logger.exception("unhandled", extra={"request_id": request_id})
            broken = ObjectsError("InternalError", "We encountered an internal error. Please try again.")
            if watch is not None:
                # The answer has begun: only an early end can tell that it is not whole.
                told.error = broken.code
                raise
            await self._send_error(broken, request, incoming, told, request_id, send)
        finally:
            if watch is not None:
                watch.end()

    async def _answered(self, request: HttpRequest, incoming: _Incoming, told: Told) -> Answer:
        headers = sigv4.folded(request.headers)
        host_bucket = bucket_of_host(headers.get("host", ""), self._hosts)
        bucket, key = bucket_and_key(request.raw_path, host_bucket)
        proven = self._signatures.prove(request, headers, host_bucket)
        told.caller = proven.caller
        call = self._call(request, headers, proven, bucket, key)
        route = routes.find(request.method, bucket, key, call.query, call.headers)
        told.name = f"s3.{route.name}"
        named = {"bucketName": bucket, "key": key}
        told.labels = {name: urllib.parse.quote(value) for name, value in named.items() if value}
        await asyncio.to_thread(self._check, route, call)
        checksum = await self._take_body(route, call, proven, incoming)
        try:
            arguments = (call, checksum) if route.takes == "content" else (call,)
            return await asyncio.to_thread(route.handler, *arguments)
        finally:
            if call.draft is not None:
                call.draft.discard()

    def _call(self, request: HttpRequest, headers: dict[str, str], proven: Proven, bucket: str, key: str) -> Call:
        query = parameters(request.query)
        if proven.caller.kind == "presigned":
            # Presigned links may carry headers in their query.
            hoisted = {name.lower(): value for name, value in query.items() if name.lower().startswith(_HEADERS)}
            headers = {**hoisted, **headers}
        region = proven.caller.region or self._region
        return Call(
            self._store,
            proven.caller,
            request.method,
            bucket,
            key,
            query,
            headers,
            f"{request.scheme}://{headers.get('host', '')}{request.raw_path}",
            region,
            _in_s3s_words(self._permit(proven.caller, request, region)),
        )

    def _check(self, route: Route, call: Call) -> None:
        """What can be refused before the body is read."""
        if call.bucket:
            check_bucket(call.bucket)
            if (endpoint := self._elsewhere(call.bucket)) is not None:
                raise _redirect(call.bucket, endpoint)
        check_key(call.key)
        if route.action:
            call.may(route.action, arn(call.region, call.bucket, call.key if route.on_object else ""))
        if call.bucket and route is not routes.CREATE_BUCKET:
            own_bucket(call, call.bucket)
        if route.takes == "content" or route is routes.CREATE_UPLOAD:
            refuse_not_built(call.headers)
        if route in (routes.PUT, routes.COPY, routes.CREATE_UPLOAD):
            call.encryption = encryption.asked(call)

    async def _take_body(self, route: Route, call: Call, proven: Proven, incoming: _Incoming) -> Checksum | None:
        if route.takes == "document":
            call.body = await content.whole_document(incoming, call.headers, proven)
        elif route.takes == "content":
            known = content.announced(call.headers, proven)
            algorithms: tuple[str, ...] = ()
            kept = call.encryption
            if route is routes.PART:
                upload = await asyncio.to_thread(upload_of, call)
                kept = upload.described.headers
                algorithms = () if upload.algorithm is None else (upload.algorithm,)
            draft = partial(self._store.draft, kept)
            call.draft, checksum = await content.take(draft, incoming, call.headers, proven, known, algorithms)
            return checksum
        return None

    async def _send_error(
        self, problem: ObjectsError, request: HttpRequest, incoming: _Incoming, told: Told, request_id: str, send: Send
    ) -> None:
        told.error = problem.code
        told.status, headers, body = failures.written(problem, urllib.parse.unquote(request.raw_path), request_id)
        told.record()
        try:
            await incoming.drop(request)
            if incoming.breaks_off:
                # Else a client would take the connection for one that it can go on with.
                headers = {**headers, "connection": "close"}
            answer = Answer(told.status, headers, body)
            await send_reply(_reply(answer, request, request_id), send)
        except (ClientGone, ConnectionError):
            told.error = "ClientDisconnected"


class _Incoming:
    """The body's messages, and whether the last one has come."""

    def __init__(self, receive: Receive, version: str) -> None:
        self._receive = receive
        self._ended = False
        self._one_at_a_time = version.startswith("1")

    async def __call__(self) -> dict[str, object]:
        if self._ended:
            return {"type": "http.request", "body": b"", "more_body": False}
        message = await self._receive()
        self._ended = not message.get("more_body", False)
        return dict(message)

    @property
    def breaks_off(self) -> bool:
        """Whether the connection ends with the answer, because the body before the next request was not read."""
        return self._one_at_a_time and not self._ended

    async def drop(self, request: HttpRequest) -> None:
        """Read what is still to come, unless the client waits to be asked for it, or it is too much."""
        announced = request.header("content-length") or "0"
        if request.header("expect") is not None or not announced.isdigit() or int(announced) > DROPPED_BYTES:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(DROP_SECONDS):
                async for _ in content.arriving(self):
                    pass


def _reply(answer: Answer, request: HttpRequest, request_id: str) -> Reply:
    headers = answer.headers | {"x-amz-request-id": request_id, "x-amz-id-2": request_id, "server": "Outcrop"}
    body = answer.body
    bare = request.method == "HEAD" or answer.status in (204, 304)
    if answer.status not in (204, 304):
        length = len(body) if isinstance(body, bytes) and answer.length is None else answer.length
        headers["content-length"] = str(length)
    encoded = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
    if bare:
        return Reply(answer.status, encoded, b"")
    return Reply(answer.status, encoded, body if isinstance(body, bytes) else _chunks(body))


async def _chunks(reading: Reading) -> AsyncGenerator[bytes, None]:
    """Read ahead by no more than the chunk that is being sent."""
    chunks = iter(reading)
    try:
        while (chunk := await asyncio.to_thread(_next, chunks)) is not None:
            yield chunk
    finally:
        with suppress(OSError):
            reading.close()


def _next(chunks: Iterator[bytes]) -> bytes | None:
    return next(chunks, None)


def _in_s3s_words(require: Callable[[str, str], None]) -> Callable[[str, str], None]:
    def may(action: str, resource: str) -> None:
        try:
            require(action, resource)
        except AwsError as error:
            raise access_denied(error.message) from None

    return may


def _redirect(bucket: str, endpoint: str) -> ObjectsError:
    return ObjectsError(
        "PermanentRedirect",
        "The bucket you are attempting to access must be addressed using the specified endpoint. "
        "Please send all future requests to this endpoint.",
        {"Bucket": bucket, "Endpoint": endpoint},
    )
