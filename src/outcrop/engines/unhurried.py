"""An answer that its engine finishes at its own pace, however slowly it is read.

A client that reads slowly must not keep an engine's slot: after `PATIENCE_SECONDS` without a read, the rest of the answer
is taken from the engine into memory (it has an end: the model's longest answer) and waits there for its reader.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 2.0


class Unhurried(Generic[T]):
    """`begin` waits for the engine and gives its answer, and what to call, once, when the engine is done with it.

    Nothing begins before the first read. Closing it ends the generation.
    """

    def __init__(self, begin: Callable[[], Awaitable[tuple[AsyncGenerator[T, None], Callable[[], None]]]]) -> None:
        self._begin = begin
        self._source: AsyncGenerator[T, None] | None = None
        self._ended: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._over = False
        self._reading = False
        self._reads = 0
        self._held: deque[T] = deque()
        self._problem: BaseException | None = None
        self._drain: asyncio.Task[None] | None = None
        self._more = asyncio.Event()

    def __aiter__(self) -> Unhurried[T]:
        return self

    async def __anext__(self) -> T:
        if self._drain is not None:
            return await self._next_held()
        if self._over:
            raise StopAsyncIteration
        self._reads += 1
        self._reading = True
        try:
            source = self._source
            if source is None:
                source, self._ended = await self._begin()
                self._source = source
                self._timer = asyncio.get_running_loop().call_later(PATIENCE_SECONDS, self._look, 0)
            return await anext(source)
        except BaseException:
            await self._end()
            raise
        finally:
            self._reading = False

    async def _next_held(self) -> T:
        while not self._held:
            if self._over:
                raise self._problem or StopAsyncIteration
            self._more.clear()
            await self._more.wait()
        return self._held.popleft()

    def _look(self, reads: int) -> None:
        """Whether the reader has come again since the last look, or waits for the engine now."""
        if self._over or self._source is None:
            return
        loop = asyncio.get_running_loop()
        if self._reads == reads and not self._reading:
            self._drain = loop.create_task(self._read_on(self._source))
        else:
            self._timer = loop.call_later(PATIENCE_SECONDS, self._look, self._reads)

    async def _read_on(self, source: AsyncGenerator[T, None]) -> None:
        try:
            async for piece in source:
                self._held.append(piece)
                self._more.set()
        except Exception as problem:
            self._problem = problem
        finally:
            await self._end()
            self._more.set()

    async def aclose(self) -> None:
        if self._drain is not None:
            self._drain.cancel()
            await asyncio.gather(self._drain, return_exceptions=True)
            self._held.clear()
        await self._end()

    async def _end(self) -> None:
        if self._over:
            return
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        try:
            if self._source is not None:
                await self._source.aclose()
        finally:
            if self._ended is not None:
                self._ended()
