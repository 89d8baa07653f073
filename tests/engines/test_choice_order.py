"""In which order several engines are asked: by weight, after failures, and where one has signed its reasoning."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from itertools import count
from typing import cast

import pytest

from outcrop.engines import attempts
from outcrop.engines.candidates import BREAK_SECONDS, Candidate
from outcrop.engines.choice import Choice
from outcrop.engines.engine import (
    ChatRequest,
    Delta,
    Engine,
    EngineBusy,
    EngineError,
    EngineFailed,
    Finish,
    Message,
    Reasoning,
    ReasoningDelta,
    ReasoningSignature,
    Text,
    TextDelta,
    Usage,
)
from tests.engines.choices import HELLO, Clock, ask, choice, collected, never, same
from tests.inference.bench import ABLE, Prepared, says


def test_fallbacks_come_after_all_others_in_their_order() -> None:
    engines: dict[str, Engine | EngineError] = {name: never(EngineFailed(name)) for name in "xyab"}
    chosen = choice(engines, fallbacks=("x", "y"))
    with pytest.raises(EngineFailed, match="a"):
        ask(chosen)

    async def run() -> list[str]:
        attempts.begin()
        with pytest.raises(EngineFailed):
            await collected(chosen.chat(HELLO))
        return [name for name, _ in attempts.read()]

    assert asyncio.run(run()) == ["a", "b", "x", "y"]


def test_requests_are_shared_by_weight() -> None:
    picks = count()

    def pick() -> float:
        return (next(picks) % 1000) / 1000

    engines = {name: Prepared(deltas=says(name)) for name in "abc"}
    weights = {"a": 6.0, "b": 3.0, "c": 1.0}
    candidates = [
        Candidate(name, partial(same, engine), lambda: ABLE, weights[name]) for name, engine in engines.items()
    ]
    chosen = Choice("m", candidates, pick=pick, clock=Clock())

    async def run() -> Counter[str]:
        told: Counter[str] = Counter()
        for _ in range(1000):
            first = await anext(chosen.chat(HELLO))
            told[cast(TextDelta, first).text] += 1
        return told

    told = asyncio.run(run())
    assert {name: round(told[name] / 1000, 1) for name in "abc"} == {"a": 0.6, "b": 0.3, "c": 0.1}


@pytest.mark.parametrize(("pick", "name"), [(0.0, "a"), (0.74, "a"), (0.75, "b"), (0.9999999, "b"), (1.0, "b")])
def test_the_borders_of_a_weight(pick: float, name: str) -> None:
    chosen = choice({n: Prepared(deltas=says(n)) for n in "ab"}, weights={"a": 3.0, "b": 1.0}, pick=pick)
    assert ask(chosen)[1] == ((name, attempts.ANSWERED),)


def test_one_that_failed_is_tried_last_for_a_while() -> None:
    clock, failing = Clock(), never(EngineFailed("crashed"))
    chosen = choice({"a": failing, "b": Prepared()}, clock=clock)
    ask(chosen)
    clock.now += BREAK_SECONDS - 0.1
    ask(chosen)
    assert len(failing.asked) == 1
    clock.now += 0.2
    ask(chosen)
    assert len(failing.asked) == 2
    clock.now += BREAK_SECONDS + 0.1
    failing.deltas = says("back")
    assert ask(chosen)[0] == says("back")
    assert ask(chosen)[0] == says("back")


def test_one_that_answers_again_is_trusted_again() -> None:
    failing, other = never(EngineFailed("crashed")), Prepared(deltas=says("b"))
    chosen = choice({"a": failing, "b": other})
    ask(chosen)
    failing.deltas, other.deltas = says("a"), [EngineFailed("crashed too")]
    assert ask(chosen)[0] == says("a")
    other.deltas = says("b")
    assert ask(chosen)[0] == says("a"), "at once, not after the pause"


def test_it_is_still_tried_where_all_failed() -> None:
    failing = never(EngineFailed("crashed"))
    chosen = choice({"a": failing, "b": never(EngineFailed("crashed too"))})
    for _ in range(2):
        with pytest.raises(EngineFailed):
            ask(chosen)
    assert len(failing.asked) == 2


def test_a_busy_one_is_left_alone_as_long_as_it_says() -> None:
    clock, busy = Clock(), never(EngineBusy("full", retry_after=60))
    chosen = choice({"a": busy, "b": Prepared()}, clock=clock)
    ask(chosen)
    clock.now += 59
    ask(chosen)
    assert len(busy.asked) == 1


def test_an_answer_that_breaks_off_counts_as_a_failure() -> None:
    breaking = Prepared(deltas=[TextDelta("Hi"), EngineFailed("crashed")])
    chosen = choice({"a": breaking, "b": Prepared(deltas=says("b"))})
    with pytest.raises(EngineFailed):
        ask(chosen)
    assert ask(chosen)[0] == says("b")


THOUGHT: list[Delta | Exception] = [
    ReasoningDelta("hm"), ReasoningSignature("sig:1"), TextDelta("Yes"), Finish("stop", Usage(1, 1)),
]  # fmt: skip


def thinking(signature: str | None) -> ChatRequest:
    return ChatRequest(
        (*HELLO.messages, Message("assistant", (Reasoning("hm", signature), Text("Yes"))), *HELLO.messages)
    )


def reasoning_asked(engine: Prepared) -> object:
    return engine.asked[-1].messages[1].parts[0]


def test_a_tool_loop_stays_with_the_engine_that_signed_its_reasoning() -> None:
    a, b = Prepared(deltas=says("a")), Prepared(deltas=THOUGHT)
    signed = next(delta for delta in ask(choice({"b": b}))[0] if isinstance(delta, ReasoningSignature))
    assert signed == ReasoningSignature("b:sig:1")
    assert ask(choice({"a": a, "b": b}), thinking(signed.signature))[1] == (("b", attempts.ANSWERED),)
    assert reasoning_asked(b) == Reasoning("hm", "sig:1")


def test_it_does_not_stay_with_one_that_failed_lately() -> None:
    a, b = Prepared(deltas=says("a")), never(EngineFailed("x"))
    chosen = choice({"b": b, "a": a})
    ask(chosen)
    ask(chosen, thinking("b:sig"))
    assert len(b.asked) == 1


def test_another_engine_is_not_given_a_signature_that_it_did_not_make() -> None:
    a, b = Prepared(deltas=says("a")), never(EngineFailed("x"))
    assert ask(choice({"a": a, "b": b}), thinking("b:sig"))[1][-1] == ("a", attempts.ANSWERED)
    assert reasoning_asked(a) == Reasoning("hm")
    ask(choice({"a": a}), thinking(None))
    assert reasoning_asked(a) == Reasoning("hm")
    # A server that had one engine yesterday signed without a name.
    ask(choice({"a": a}), thinking("plain"))
    assert reasoning_asked(a) == Reasoning("hm")
