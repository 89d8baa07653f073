"""An engine whose answers are told without what came from a prompt cache.

Batch inference has no prompt caching: its input counts whole. And what lies in a cache depends on what was asked before,
which a job that goes on after a crash must not show.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace

from outcrop.context import Context
from outcrop.engines.engine import (
    Capabilities,
    ChatRequest,
    CompletionRequest,
    Delta,
    Engine,
    Finish,
    Native,
    Usage,
    native,
)


class UncachedContext(Context):
    """A call of one record."""

    def engine(self, model_id: str) -> Engine:
        return Uncached(self.parts.engines.get(model_id))


class Uncached:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def chat(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        return _told(self._engine.chat(request))

    def complete(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        return _told(self._engine.complete(request))

    @property
    def native(self) -> Native | None:
        """Bodies of an engine elsewhere stay as its provider wrote them."""
        return native(self._engine)

    async def start(self) -> None:
        await self._engine.start()

    async def capabilities(self) -> Capabilities:
        return await self._engine.capabilities()

    async def count_tokens(self, request: ChatRequest | CompletionRequest) -> int:
        return await self._engine.count_tokens(request)

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], Usage]:
        return await self._engine.embed(texts)

    async def rerank(self, query: str, documents: Sequence[str]) -> tuple[list[float], Usage]:
        return await self._engine.rerank(query, documents)

    def ready(self) -> bool:
        return self._engine.ready()

    async def close(self) -> None:
        """It belongs to the server."""


async def _told(deltas: AsyncIterator[Delta]) -> AsyncGenerator[Delta, None]:
    try:
        async for delta in deltas:
            if isinstance(delta, Finish):
                delta = replace(delta, usage=replace(delta.usage, cached_tokens=0, written_tokens=0))
            yield delta
    finally:
        # Engines promise an iterator that can be closed.
        if isinstance(deltas, AsyncGenerator):
            await deltas.aclose()
