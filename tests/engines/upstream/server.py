"""An upstream that answers what a test laid ready, and the Bedrock engine that asks it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import orjson

from outcrop.engines.engine import ChatRequest, Delta, Engine, Message, Text
from outcrop.engines.upstream.bedrock import Bedrock
from outcrop.request import HttpRequest
from outcrop.settings import ModelSpec
from outcrop.wire.eventstream import Message as Frame
from outcrop.wire.eventstream import encode
from tests.conformance.loopback import Answer
from tests.live import Server

T = TypeVar("T")

HELLO = ChatRequest((Message("user", (Text("Hello"),)),))
CLAUDE = "anthropic.claude-x-v1:0"


class Upstream:
    """Answers everything with `answer`; remembers what came."""

    def __init__(self) -> None:
        self.seen: list[HttpRequest] = []
        self.answer: Callable[[HttpRequest], Answer] = lambda request: (200, [], b"{}")
        self.url = ""

    def __call__(self, request: HttpRequest) -> Answer:
        self.seen.append(request)
        return self.answer(request)

    def says(self, status: int, body: object, **headers: str) -> None:
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        named = [(name.replace("_", "-"), value) for name, value in headers.items()]
        self.answer = lambda request: (status, named, data)

    def streams(self, *frames: bytes) -> None:
        self.says(200, b"".join(frames))

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = orjson.loads(self.seen[-1].body)
        return body


def event(kind: str, payload: object) -> bytes:
    """A frame as Bedrock sends it, padding and all."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    body = {**payload, "p": "abcdef"} if isinstance(payload, dict) else payload
    return encode(Frame(headers, orjson.dumps(body)))


def exception(kind: str, payload: object) -> bytes:
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return encode(Frame(headers, orjson.dumps(payload)))


def text(said: str, index: int = 0) -> bytes:
    return event("contentBlockDelta", {"delta": {"text": said}, "contentBlockIndex": index})


def stop(reason: str = "end_turn", **more: Any) -> bytes:
    return event("messageStop", {"stopReason": reason, **more})


def metadata(**usage: int) -> bytes:
    return event("metadata", {"usage": usage, "metrics": {"latencyMs": 1}})


def spec(upstream: Upstream, **changes: Any) -> ModelSpec:
    return ModelSpec(
        **{"id": "ours", "engine": "bedrock", "url": upstream.url, "model": CLAUDE, "region": "eu-west-1", **changes}
    )


def used(engine: Engine, use: Callable[[Any], Awaitable[T]]) -> T:
    async def run() -> T:
        try:
            return await use(engine)
        finally:
            await engine.close()

    return asyncio.run(run())


async def collected(deltas: AsyncIterator[T]) -> list[T]:
    return [delta async for delta in deltas]


def ask(upstream: Upstream, request: ChatRequest = HELLO, **changes: Any) -> list[Delta]:
    return used(Bedrock(spec(upstream, **changes)), lambda engine: collected(engine.chat(request)))


def new_api_key(server: Server) -> str:
    """A Bedrock API key of a running Outcrop."""
    command = [sys.executable, "-m", "outcrop", "keys", "create", "--api-key", "--json"]
    done = subprocess.run(command, env=dict(server.environment), check=True, capture_output=True)
    made: dict[str, str] = json.loads(done.stdout)
    return next(value for value in made.values() if str(value).startswith("ABSK"))
