"""Several engines for one model: when another is asked, and what is told of it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from outcrop.engines import attempts
from outcrop.engines.engine import (
    ContextOverflow,
    Engine,
    EngineBusy,
    EngineError,
    EngineFailed,
    EngineTimeout,
    InvalidRequest,
    TextDelta,
    Unsupported,
    Upstream,
)
from tests.engines.choices import HELLO, ask, choice, collected, never
from tests.inference.bench import Prepared, says

GOES_ON: list[tuple[EngineError, str]] = [
    (EngineBusy("full"), "busy"),
    (EngineFailed("crashed"), "failed"),
    (EngineTimeout("late"), "timed out"),
    (EngineError("no such file"), "failed"),
    (Upstream("denied", "x"), "refused its credentials"),
    (Upstream("missing", "x"), "has no such model"),
    (Upstream("not_ready", "x"), "not ready"),
    (Upstream("unavailable", "x"), "unavailable"),
    (Upstream("internal", "x"), "failed"),
]


@pytest.mark.parametrize(("problem", "why"), GOES_ON, ids=[f"{type(p).__name__}-{w}" for p, w in GOES_ON])
def test_another_answers_where_one_fails(problem: EngineError, why: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "outcrop.engines"):
        answer, tried = ask(choice({"a": never(problem), "b": Prepared(deltas=says("Hi"))}))
    assert answer == says("Hi")
    assert tried == (("a", why), ("b", attempts.ANSWERED))
    assert f"m: engine a did not answer ({why})" in caplog.text


@pytest.mark.parametrize(
    "problem",
    [ContextOverflow(9, 8), InvalidRequest("bad"), Unsupported("images"), Upstream("invalid", "bad")],
    ids=lambda problem: type(problem).__name__,
)
def test_the_callers_own_fault_is_told_at_once(problem: EngineError) -> None:
    other = Prepared()
    with pytest.raises(type(problem)):
        ask(choice({"a": never(problem), "b": other}))
    assert not other.asked


def test_an_answer_that_has_begun_is_not_begun_again() -> None:
    other = Prepared()
    chosen = choice({"a": Prepared(deltas=[TextDelta("Hi"), EngineFailed("crashed")]), "b": other})

    async def run() -> None:
        answer = chosen.chat(HELLO)
        assert await anext(answer) == TextDelta("Hi")
        with pytest.raises(EngineFailed, match="crashed"):
            await anext(answer)

    asyncio.run(run())
    assert not other.asked


def test_an_answer_of_nothing_is_no_answer() -> None:
    answer, tried = ask(choice({"a": Prepared(deltas=[]), "b": Prepared(deltas=says("Hi"))}))
    assert answer == says("Hi")
    assert tried[0] == ("a", "failed")


def test_every_engine_is_closed_after_its_try_and_by_an_abandoned_answer() -> None:
    failing, answering = never(EngineFailed("x")), Prepared(hold=True)
    chosen = choice({"a": failing, "b": answering})

    async def run() -> None:
        answer = chosen.chat(HELLO)
        await anext(answer)
        assert (failing.closed, answering.closed) == (1, 0)
        await answer.aclose()
        assert answering.closed == 1

    asyncio.run(run())


def test_where_nobody_answers_the_caller_is_told_to_come_again_if_that_may_help() -> None:
    engines: dict[str, Engine | EngineError] = {
        "a": never(EngineFailed("crashed")), "b": never(EngineBusy("full", 9)), "c": never(EngineBusy("full", 3)),
    }  # fmt: skip
    with pytest.raises(EngineBusy) as caught:
        ask(choice(engines))
    assert caught.value.retry_after == 3
    with pytest.raises(EngineTimeout):
        ask(choice({"a": never(EngineTimeout("late")), "b": never(EngineFailed("crashed"))}))


def test_what_the_caller_is_told_in_headers() -> None:
    async def run() -> tuple[dict[str, str], ...]:
        before = attempts.headers()
        attempts.note("a", "lost")
        attempts.begin()
        await collected(choice({"a": Prepared()}).chat(HELLO))
        alone = attempts.headers()
        attempts.begin()
        engines = {"a": never(EngineBusy("x")), "b": never(EngineFailed("secret words")), "c": Prepared()}
        await collected(choice(engines).chat(HELLO))
        return before, alone, attempts.headers()

    before, alone, several = asyncio.run(run())
    assert before == {}
    assert alone == {"x-outcrop-engine": "a"}
    assert several == {"x-outcrop-engine": "c", "x-outcrop-fallback": "a (busy), b (failed)"}


def test_requests_at_once_do_not_see_each_others_attempts() -> None:
    chosen = choice({"a": never(EngineFailed("x")), "b": Prepared()})

    async def one() -> tuple[attempts.Attempt, ...]:
        attempts.begin()
        await collected(chosen.chat(HELLO))
        return attempts.read()

    async def run() -> list[tuple[attempts.Attempt, ...]]:
        return await asyncio.gather(*(one() for _ in range(5)))

    assert all(tried[-1] == ("b", attempts.ANSWERED) and len(tried) <= 2 for tried in asyncio.run(run()))
