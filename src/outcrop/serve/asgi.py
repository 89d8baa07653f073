"""ASGI in, ASGI out: read a whole request, send a whole reply or a stream, notice a client that has gone.

granian's ASGI is used rather than its faster RSGI because only ASGI keeps the raw path, which signatures are made over.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from outcrop.errors import AwsError
from outcrop.request import HttpRequest

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# An answer that takes longer than this is worth a task that listens for the client's disconnect; shorter ones are not.
WATCH_AFTER_SECONDS = 0.1


@dataclass(slots=True)
class Reply:
    """`body` is either the bytes or an iterator of chunks; closing the iterator cancels what feeds it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes | AsyncIterator[bytes]


class ClientGone(Exception):
    """The client disconnected before its request was complete or its reply was sent."""


def request_of(scope: Scope, body: bytes) -> HttpRequest:
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    return HttpRequest(
        method=scope["method"],
        raw_path=scope["raw_path"].decode("latin-1"),
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        body=body,
        scheme=scope["scheme"],
        source_ip=client[0] if (client := scope.get("client")) else None,
    )


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The whole body; a 400 as soon as it is known to be longer than `limit` bytes.

    Where the length is announced, nothing of an oversized body is kept; the rest is read and dropped, so that the client
    is still listening when the answer comes.
    """
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        chunks = [body]
        size = len(body)
        while message.get("more_body"):
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            size += len(message.get("body", b""))
            if size <= limit:
                chunks.append(message.get("body", b""))
            elif size > 4 * limit:
                break
        if size > limit:
            raise too_large(limit)
        body = b"".join(chunks)
    if len(body) > limit:
        raise too_large(limit)
    return body


def too_large(limit: int) -> AwsError:
    return AwsError(f"The request body is larger than {limit} bytes.", code="ValidationException", status=400)


class DisconnectWatch:
    """Cancels the current task when the client goes away. Costs one timer for a fast answer, a task for a slow one."""

    __slots__ = ("_receive", "_task", "_timer", "_watcher", "gone")

    def __init__(self, receive: Receive) -> None:
        self.gone = False
        self._receive = receive
        self._task = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER_SECONDS, self._begin)

    def _begin(self) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        if self._task is not None:
            self._task.cancel()

    def end(self) -> None:
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()


async def send_reply(reply: Reply, send: Send) -> None:
    await send({"type": "http.response.start", "status": reply.status, "headers": reply.headers})
    if isinstance(reply.body, bytes):
        await send({"type": "http.response.body", "body": reply.body})
        return
    async with contextlib.AsyncExitStack() as stack:
        if (close := getattr(reply.body, "aclose", None)) is not None:
            stack.push_async_callback(close)
        async for chunk in reply.body:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})
