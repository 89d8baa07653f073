"""Which of several engines is asked, when another is, and what is remembered of it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any, cast

import pytest

from outcrop.engines import attempts
from outcrop.engines.choice import BREAK_SECONDS, Candidate, Choice
from outcrop.engines.engine import (
    Capabilities,
    ChatRequest,
    CompletionRequest,
    ContextOverflow,
    Delta,
    Engine,
    EngineBusy,
    EngineError,
    EngineFailed,
    EngineTimeout,
    Finish,
    InvalidRequest,
    Message,
    NativeAnswer,
    Reasoning,
    ReasoningDelta,
    ReasoningSignature,
    Text,
    TextDelta,
    Unsupported,
    Upstream,
    Usage,
    native,
)
from tests.inference.bench import ABLE, Prepared, says

HELLO = ChatRequest((Message("user", (Text("Hello"),)),))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def same(engine: Engine | EngineError) -> Engine:
    if isinstance(engine, EngineError):
        raise engine
    return engine


def able(engine: Engine | EngineError) -> Capabilities:
    known: Capabilities = cast(Any, same(engine)).able
    return known


def never(problem: EngineError) -> Prepared:
    return Prepared(deltas=[problem])


def choice(
    engines: Mapping[str, Engine | EngineError],
    *,
    weights: Mapping[str, float] | None = None,
    fallbacks: Sequence[str] = (),
    pick: float | None = None,
    clock: Clock | None = None,
) -> Choice:
    """`pick` None: the first of those that are left, always."""

    candidates = [
        Candidate(name, partial(same, engine), partial(able, engine), (weights or {}).get(name, 1.0), name in fallbacks)
        for name, engine in engines.items()
    ]
    return Choice("m", candidates, pick=lambda: pick or 0.0, clock=clock or Clock())


async def collected(answer: AsyncIterator[Delta]) -> list[Delta]:
    return [delta async for delta in answer]


def ask(chosen: Choice, request: ChatRequest = HELLO) -> tuple[list[Delta], tuple[attempts.Attempt, ...]]:
    """The answer, and what was written down of it."""

    async def run() -> tuple[list[Delta], tuple[attempts.Attempt, ...]]:
        attempts.begin()
        return await collected(chosen.chat(request)), attempts.read()

    return asyncio.run(run())


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


class Completing(Prepared):
    """Its deltas complete raw text too."""

    def complete(self, request: CompletionRequest) -> AsyncIterator[Delta]:
        return self._answer()


def test_raw_text_goes_to_who_can_complete_it() -> None:
    def completed(chosen: Choice) -> tuple[list[Delta], tuple[attempts.Attempt, ...]]:
        async def run() -> tuple[list[Delta], tuple[attempts.Attempt, ...]]:
            attempts.begin()
            return await collected(chosen.complete(CompletionRequest("a"))), attempts.read()

        return asyncio.run(run())

    cannot = Completing(deltas=[Unsupported("raw completion")])
    chosen = choice({"a": cannot, "b": Completing(deltas=says("b"))})
    assert completed(chosen) == (says("b"), (("a", "cannot do it"), ("b", attempts.ANSWERED)))
    cannot.deltas = says("a")
    assert completed(chosen)[0] == says("a"), "that is no failure, and it is not left alone for a while"
    cannot.deltas = [Unsupported("raw completion")]
    with pytest.raises(Unsupported):
        completed(choice({"a": cannot, "b": cannot}))
    with pytest.raises(EngineFailed):
        completed(choice({"a": cannot, "b": Completing(deltas=[EngineFailed("x")])}))


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


def test_where_nobody_answers_the_caller_is_told_to_come_again_if_that_may_help() -> None:
    engines: dict[str, Engine | EngineError] = {
        "a": never(EngineFailed("crashed")), "b": never(EngineBusy("full", 9)), "c": never(EngineBusy("full", 3)),
    }  # fmt: skip
    with pytest.raises(EngineBusy) as caught:
        ask(choice(engines))
    assert caught.value.retry_after == 3
    with pytest.raises(EngineTimeout):
        ask(choice({"a": never(EngineTimeout("late")), "b": never(EngineFailed("crashed"))}))


def test_what_all_can_do() -> None:
    weak = Prepared(able=replace(ABLE, tools=False, images=False, context_tokens=100))
    both = choice({"a": Prepared(), "b": weak}).able
    assert both == replace(ABLE, tools=False, images=False, context_tokens=100)
    sized = [Prepared(able=replace(ABLE, parameters=size)) for size in (9, 4, None)]
    assert choice({"a": sized[0], "b": sized[1]}).able.parameters == 4
    assert choice({"a": sized[0], "b": sized[2]}).able.parameters is None
    assert choice({"a": EngineError("no key"), "b": Prepared()}).able == ABLE
    with pytest.raises(EngineError, match="no key"):
        _ = choice({"a": EngineError("no key")}).able


def test_one_that_cannot_be_served_is_passed_over() -> None:
    chosen = choice({"a": EngineError("no key"), "b": Prepared(deltas=says("Hi"))})
    answer, tried = ask(chosen)
    assert answer == says("Hi")
    assert tried == (("a", "failed"), ("b", attempts.ANSWERED))
    assert chosen.ready()

    async def life() -> None:
        await chosen.start()
        await chosen.close()
        with pytest.raises(EngineError, match="no key"):
            await choice({"a": EngineError("no key")}).start()

    asyncio.run(life())


class Computing(Prepared):
    """An engine that counts, embeds, scores and takes native bodies; `problem` is raised instead."""

    problem: EngineError | None = None
    models = ("anthropic.x",)
    calls = 0

    def _called(self) -> None:
        self.calls += 1
        if self.problem is not None:
            raise self.problem

    async def count_tokens(self, request: object) -> int:
        self._called()
        return 7

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], Usage]:
        self._called()
        return [[1.0] for _ in texts], Usage(1, 0)

    async def rerank(self, query: str, documents: Sequence[str]) -> tuple[list[float], Usage]:
        self._called()
        return [0.5 for _ in documents], Usage(1, 0)

    async def invoke(self, body: bytes, **more: Any) -> NativeAnswer:
        self._called()
        return NativeAnswer(body, more["content_type"])

    async def invoke_streamed(self, body: bytes, **more: Any) -> AsyncGenerator[bytes, None]:
        self._called()
        yield body


def computing(problem: EngineError | None = None) -> Computing:
    engine = Computing()
    engine.problem = problem
    return engine


def test_calls_without_a_stream_go_on_too() -> None:
    chosen = choice({"a": computing(EngineFailed("x")), "b": computing()})

    async def run() -> tuple[attempts.Attempt, ...]:
        attempts.begin()
        assert await chosen.count_tokens(HELLO) == 7
        assert attempts.read() == (), "a count beside an answer is no attempt at it"
        assert await chosen.embed(["a", "b"]) == ([[1.0], [1.0]], Usage(1, 0))
        assert await chosen.rerank("a", ["b"]) == ([0.5], Usage(1, 0))
        return attempts.read()

    assert asyncio.run(run()) == (("b", attempts.ANSWERED), ("b", attempts.ANSWERED))


def test_native_bodies_go_where_all_take_them() -> None:
    chosen = choice({"a": computing(EngineFailed("x")), "b": computing()})
    found = native(chosen)
    assert found is not None
    assert found.models == ("anthropic.x", "anthropic.x")

    async def run() -> None:
        assert await found.invoke(b"{}") == NativeAnswer(b"{}", "application/json")
        assert [chunk async for chunk in found.invoke_streamed(b"{}")] == [b"{}"]

    asyncio.run(run())
    assert native(choice({"a": computing(), "b": Prepared()})) is None
    refused = native(choice({"a": computing(Upstream("invalid", "bad")), "b": computing()}))
    assert refused is not None
    with pytest.raises(Upstream, match="bad"):
        asyncio.run(cast(Any, refused).invoke(b"{}"))


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


def test_capabilities_are_all_of_one_kind() -> None:
    """`Choice` takes every field but two for a yes or no."""
    kinds = {name: type(getattr(Capabilities(1), name)) for name in Capabilities.__dataclass_fields__}
    assert {name for name, kind in kinds.items() if kind is not bool} == {"context_tokens", "parameters"}
