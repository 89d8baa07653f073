"""An engine as its callers have it: it lets in as many as it has room for, starts itself, and counts its use."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import TypeVar, cast

from outcrop.engines.engine import (
    Capabilities,
    ChatRequest,
    CompletionRequest,
    Delta,
    Engine,
    Native,
    NativeAnswer,
    Unsupported,
    Usage,
    native,
)
from outcrop.engines.entry import Entry
from outcrop.engines.unhurried import Unhurried

T = TypeVar("T")


class Pooled:
    """An engine that lets in as many as it has room for, and whose use is counted: nothing is unloaded under a request."""

    def __init__(
        self, entry: Entry, engine: Engine, start: Callable[[Entry], Awaitable[None]], before: Callable[[], None]
    ) -> None:
        """`start` starts the entry's engine where it is not ready; `before` is called when a request comes."""
        self._entry = entry
        self._engine = engine
        self._start = start
        self._before = before

    async def start(self) -> None:
        with self._used():
            await self._ready()
            await self._engine.start()

    @contextlib.contextmanager
    def _used(self) -> Iterator[None]:
        self._entry.users += 1
        try:
            yield
        finally:
            self._entry.users -= 1
            self._entry.idle_since = time.monotonic()

    async def _admitted(self) -> Callable[[], None]:
        """Waits for room; what it gives gives the room back."""
        entry = self._entry
        self._before()
        entry.users += 1
        try:
            admitted = await entry.admission.enter()
        except BaseException:
            entry.users -= 1
            raise

        def leave() -> None:
            admitted.release()
            entry.users -= 1
            entry.idle_since = time.monotonic()

        try:
            await self._ready()
        except BaseException:
            leave()
            raise
        return leave

    async def _ready(self) -> None:
        if not self._engine.ready():
            await self._start(self._entry)

    async def capabilities(self) -> Capabilities:
        return await self._engine.capabilities()

    def chat(self, request: ChatRequest) -> Unhurried[Delta]:
        return self._streamed(lambda: self._engine.chat(request))

    def complete(self, request: CompletionRequest) -> Unhurried[Delta]:
        return self._streamed(lambda: self._engine.complete(request))

    def _streamed(self, answer: Callable[[], AsyncIterator[T]]) -> Unhurried[T]:
        async def begin() -> tuple[AsyncGenerator[T, None], Callable[[], None]]:
            leave = await self._admitted()
            try:
                return _generator(answer()), leave
            except BaseException:
                leave()
                raise

        return Unhurried(begin)

    @property
    def native(self) -> Native | None:
        inner = native(self._engine)
        return None if inner is None else _Natives(self, inner)

    async def count_tokens(self, request: ChatRequest | CompletionRequest) -> int:
        # Counting is quick and waits for nobody.
        with self._used():
            await self._ready()
            return await self._engine.count_tokens(request)

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], Usage]:
        return await self._with(lambda: self._engine.embed(texts))

    async def rerank(self, query: str, documents: Sequence[str]) -> tuple[list[float], Usage]:
        return await self._with(lambda: self._engine.rerank(query, documents))

    async def _with(self, call: Callable[[], Awaitable[T]]) -> T:
        leave = await self._admitted()
        try:
            return await call()
        finally:
            leave()

    def ready(self) -> bool:
        return self._engine.ready()

    async def close(self) -> None:
        await self._engine.close()


class _Natives:
    """Native bodies to an engine whose use is counted."""

    def __init__(self, pooled: Pooled, inner: Native) -> None:
        self._pooled = pooled
        self._inner = inner

    @property
    def models(self) -> tuple[str, ...]:
        return self._inner.models

    async def invoke(
        self,
        body: bytes,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        headers: Mapping[str, str] = {},
    ) -> NativeAnswer:
        return await self._pooled._with(
            lambda: self._inner.invoke(body, content_type=content_type, accept=accept, headers=headers)
        )

    def invoke_streamed(
        self,
        body: bytes,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        headers: Mapping[str, str] = {},
    ) -> Unhurried[bytes]:
        return self._pooled._streamed(
            lambda: self._inner.invoke_streamed(body, content_type=content_type, accept=accept, headers=headers)
        )


def _generator(answer: AsyncIterator[T]) -> AsyncGenerator[T, None]:
    """Engines promise an iterator that can be closed (`Engine.chat`), which its type does not say."""
    if not hasattr(answer, "aclose"):
        raise Unsupported("streaming", "the engine's answer cannot be closed")
    return cast("AsyncGenerator[T, None]", answer)
