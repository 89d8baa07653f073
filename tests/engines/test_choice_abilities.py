"""What several engines can do together: capabilities, counts, vectors, native bodies, raw text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from outcrop.engines import attempts
from outcrop.engines.choice import Choice
from outcrop.engines.engine import (
    Capabilities,
    CompletionRequest,
    Delta,
    EngineError,
    EngineFailed,
    NativeAnswer,
    Unsupported,
    Upstream,
    Usage,
    native,
)
from tests.engines.choices import HELLO, ask, choice, collected
from tests.inference.bench import ABLE, Prepared, says


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


def test_capabilities_are_all_of_one_kind() -> None:
    """`Choice` takes every field but two for a yes or no."""
    kinds = {name: type(getattr(Capabilities(1), name)) for name in Capabilities.__dataclass_fields__}
    assert {name for name, kind in kinds.items() if kind is not bool} == {"context_tokens", "parameters"}
