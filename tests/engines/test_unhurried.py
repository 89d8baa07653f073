"""A slow reader does not hold an engine, and nothing of its answer is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from outcrop.engines import unhurried
from outcrop.engines.unhurried import Unhurried


class Source:
    def __init__(self, number: int, *, fails: bool = False, hangs: bool = False) -> None:
        self.sent = 0
        self.ended = 0
        self.closed = False
        self._number = number
        self._fails = fails
        self._hangs = hangs

    async def begin(self) -> tuple[AsyncGenerator[int, None], Callable[[], None]]:
        return self._pieces(), self._end

    def _end(self) -> None:
        self.ended += 1

    async def _pieces(self) -> AsyncGenerator[int, None]:
        try:
            for n in range(self._number):
                self.sent += 1
                yield n
                await asyncio.sleep(0)
            if self._hangs:
                await asyncio.Event().wait()
            if self._fails:
                raise ValueError("broken")
        finally:
            self.closed = True


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unhurried, "PATIENCE_SECONDS", 0.02)


def test_a_quick_reader_reads_along() -> None:
    async def run() -> None:
        source = Source(5)
        assert [n async for n in Unhurried(source.begin)] == [0, 1, 2, 3, 4]
        assert (source.ended, source.closed) == (1, True)

    asyncio.run(run())


def test_nothing_begins_before_the_first_read() -> None:
    async def run() -> None:
        source = Source(5)
        answer = Unhurried(source.begin)
        await answer.aclose()
        assert (source.sent, source.ended) == (0, 0)
        assert [n async for n in answer] == []

    asyncio.run(run())


def test_a_slow_reader_gets_everything_and_holds_nothing() -> None:
    async def run() -> None:
        source = Source(500)
        answer = Unhurried(source.begin)
        assert await anext(answer) == 0
        await asyncio.sleep(0.2)
        assert (source.ended, source.closed, source.sent) == (1, True, 500)
        assert [n async for n in answer] == list(range(1, 500))
        assert source.ended == 1

    asyncio.run(run())


def test_a_failure_comes_after_what_was_said_before_it() -> None:
    async def run() -> None:
        source = Source(3, fails=True)
        answer = Unhurried(source.begin)
        await anext(answer)
        await asyncio.sleep(0.2)
        assert [await anext(answer), await anext(answer)] == [1, 2]
        with pytest.raises(ValueError, match="broken"):
            await anext(answer)
        assert source.ended == 1

    asyncio.run(run())


@pytest.mark.parametrize("pause", [0.0, 0.2])
def test_closing_ends_the_generation(pause: float) -> None:
    async def run() -> None:
        source = Source(3, hangs=True)
        answer = Unhurried(source.begin)
        await anext(answer)
        await asyncio.sleep(pause)
        assert source.ended == 0
        await answer.aclose()
        assert (source.ended, source.closed) == (1, True)
        assert [n async for n in answer] == []

    asyncio.run(run())


def test_a_reader_who_waits_for_the_engine_is_not_slow() -> None:
    async def run() -> None:
        source = Source(1, hangs=True)
        answer = Unhurried(source.begin)
        await anext(answer)
        waiting = asyncio.ensure_future(anext(answer))
        await asyncio.sleep(0.2)
        assert answer._drain is None
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert source.ended == 1

    asyncio.run(run())
