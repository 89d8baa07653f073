"""A context without HTTP: real settings, database, key file and catalogue; engines that say what a test prepared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar, cast

from outcrop.context import Context, Parts
from outcrop.engines.engine import (
    Capabilities,
    ChatRequest,
    CompletionRequest,
    ContextOverflow,
    Delta,
    Engine,
    EngineError,
    Finish,
    TextDelta,
    Unsupported,
    Usage,
)
from outcrop.engines.engine import Text as TextPart
from outcrop.identity.caller import Caller
from outcrop.models.catalogue import Catalogue
from outcrop.objects.places import Places
from outcrop.settings import ModelSpec, Settings
from outcrop.store.database import Database
from outcrop.store.keyfile import Vault
from tests.stores import store_at

T = TypeVar("T")

MODEL = "test.parrot-v1:0"
ACCOUNT = "111122223333"
OTHER_ACCOUNT = "444455556666"
REGION = "us-east-1"
NOW = datetime(2026, 11, 24, 12, 0, 0, 123000, tzinfo=UTC)

ABLE = Capabilities(
    context_tokens=4096, tools=True, json_schema=True, images=True, reasoning=True, embeddings=False, count_tokens=True
)


def says(text: str) -> list[Delta]:
    return [TextDelta(text), Finish("stop", Usage(10, 3))]


@dataclass
class Prepared:
    """An engine that gives `deltas`, raising where one of them is an error; it remembers what it was asked.

    Every text's embedding is `vector`; every document's relevance is its place in `scores`.
    """

    deltas: Sequence[Delta | Exception] = field(default_factory=lambda: says("Hello"))
    able: Capabilities = ABLE
    asked: list[ChatRequest] = field(default_factory=list)
    completed: list[CompletionRequest] = field(default_factory=list)
    embedded: list[list[str]] = field(default_factory=list)
    vector: list[float] = field(default_factory=lambda: [3.0, 4.0, 0.0, -12.0])
    scores: list[float] = field(default_factory=list)
    closed: int = 0
    hold: bool = False
    running: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None: ...

    async def capabilities(self) -> Capabilities:
        return self.able

    def chat(self, request: ChatRequest) -> AsyncIterator[Delta]:
        self.asked.append(request)
        return self._answer()

    async def _answer(self) -> AsyncGenerator[Delta, None]:
        self.running.set()
        try:
            for delta in self.deltas:
                if isinstance(delta, Exception):
                    raise delta
                yield delta
                await asyncio.sleep(0)
            if self.hold:
                await asyncio.Event().wait()
        finally:
            self.closed += 1

    def complete(self, request: CompletionRequest) -> AsyncIterator[Delta]:
        self.completed.append(request)
        return self._answer()

    async def count_tokens(self, request: ChatRequest | CompletionRequest) -> int:
        """Ten a message, or the words of a prompt, so that tests can tell what was counted."""
        if not self.able.count_tokens:
            raise Unsupported("counting tokens")
        return 10 * len(request.messages) if isinstance(request, ChatRequest) else len(request.prompt.split())

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], Usage]:
        """Tokens are words, and the context holds as many as its capabilities say."""
        self.embedded.append(list(texts))
        longest = max(len(text.split()) for text in texts)
        if longest > self.able.context_tokens:
            raise ContextOverflow(longest, self.able.context_tokens)
        return [list(self.vector) for _ in texts], Usage(sum(len(text.split()) for text in texts), 0)

    async def rerank(self, query: str, documents: Sequence[str]) -> tuple[list[float], Usage]:
        return list(self.scores), Usage(len(query.split()) + sum(len(text.split()) for text in documents), 0)

    def ready(self) -> bool:
        return True

    async def close(self) -> None: ...


class Pool:
    def __init__(self, engines: Mapping[str, Prepared]) -> None:
        self.engines = engines
        self.broken: set[str] = set()
        self.places: int | None = None
        self.reserved: Mapping[str, Mapping[str, int]] = {}

    def get(self, model_id: str) -> Engine:
        return self.engines[model_id]

    def reservable(self, model_id: str) -> int | None:
        return self.places

    def reserve(self, reserved: Mapping[str, Mapping[str, int]]) -> None:
        self.reserved = reserved

    def capabilities(self, model_id: str) -> Capabilities:
        if model_id in self.broken:
            raise EngineError("the file is damaged")
        return self.engines[model_id].able


def settings(**changes: Any) -> Settings:
    spec = ModelSpec(id=MODEL, engine="scripted", name="Parrot", provider="Test")
    return Settings(**{"models": (spec,), "house_model": False, **changes})


@dataclass
class Bench:
    """`ctx` is a call of the account 111122223333 in us-east-1."""

    ctx: Context
    engine: Prepared
    pool: Pool

    def call(self, operation: Callable[[Context, Any], Awaitable[T]], **request: Any) -> T:
        """Run one operation that has no stream."""

        async def run() -> T:
            return await operation(self.ctx, {"modelId": MODEL, **request})

        return asyncio.run(run())

    def stream(self, operation: Callable[[Context, Any], Awaitable[Any]], **request: Any) -> list[Any]:
        """All events of a streaming operation."""

        async def run() -> list[Any]:
            response = await operation(self.ctx, {"modelId": MODEL, **request})
            return [event async for event in response["stream" if "stream" in response else "body"]]

        return asyncio.run(run())

    def as_caller(self, account: str = ACCOUNT, region: str = REGION) -> Context:
        return replace(self.ctx, caller=caller(account), region=region)

    @property
    def asked(self) -> ChatRequest:
        return self.engine.asked[-1]

    @property
    def asked_texts(self) -> list[str]:
        """The text parts of the last message."""
        return [part.text for part in self.asked.messages[-1].parts if isinstance(part, TextPart)]


def bench(folder: Path, *, engine: Prepared | None = None, chosen: Settings | None = None) -> Bench:
    chosen = chosen or settings()
    engine = engine or Prepared()
    pool = Pool({spec.id: engine for spec in chosen.models})
    database = Database.open(store_at(folder))
    catalogue = Catalogue(chosen, database, cast(Any, pool))
    places = Places(chosen, database, folder)
    parts = Parts(chosen, database, cast(Any, pool), catalogue, Vault.open(folder), lambda: NOW, places)
    return Bench(Context(caller(), REGION, "request", parts), engine, pool)


def caller(account: str = ACCOUNT) -> Caller:
    return Caller(account, f"arn:aws:iam::{account}:user/admin", "AIDA", "AKIA", "sigv4")


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"text": part} if isinstance(part, str) else part for part in content]}


def assistant(*content: Any) -> dict[str, Any]:
    return {**user(*content), "role": "assistant"}


def names(events: Iterable[Mapping[str, Any]]) -> list[str]:
    return [next(iter(event)) for event in events]
