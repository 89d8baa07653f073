"""Random tools: a call that ends by itself fits its tool, and is one that may be called."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outcrop.engines.engine import Delta, InvalidRequest, Tool, ToolChoice
from tests.inference.structured.house import House, calls_of, finish_of, text_of, wild
from tests.inference.structured.judging import fits
from tests.inference.structured.schemas import asking, plain, schemas, tool_schemas, wide_tool_schemas

TOKENS = 120
seeds = st.integers(0, 2**31 - 1)
tool_names = st.text("abcAZ09_-", min_size=1, max_size=8)


@st.composite
def tools(draw: st.DrawFn) -> tuple[Tool, ...]:
    """One to three, strict or wider than a strict one may be."""
    made = []
    for name in draw(st.lists(tool_names, min_size=1, max_size=3, unique=True)):
        strict = draw(st.booleans())
        made.append(Tool(name, "d", draw(tool_schemas() if strict else wide_tool_schemas()), strict))
    return tuple(made)


def check(deltas: list[Delta], allowed: tuple[Tool, ...]) -> str:
    """The reason why the answer ended."""
    reason = finish_of(deltas).reason
    if reason == "tool_calls":
        schemas = {tool.name: tool.schema for tool in allowed}
        calls = calls_of(deltas)
        assert calls
        for name, text in calls:
            assert name in schemas
            assert fits(text, schemas[name]), (schemas[name], text)
    return reason


@pytest.mark.parametrize("mode", ["any", "tool"])
def test_a_call_that_must_happen_fits(house: House, mode: Any) -> None:
    seen = Counter[str]()

    @given(tools(), seeds, st.data())
    @asking(70)
    def holds(given_tools: tuple[Tool, ...], seed: int, data: st.DataObject) -> None:
        named = data.draw(st.sampled_from(given_tools)) if mode == "tool" else None
        choice = ToolChoice(mode, named.name if named else None)
        try:
            deltas = house.call(given_tools, choice, seed=seed, tokens=TOKENS)
        except InvalidRequest:
            seen["refused"] += 1
            return
        assert not text_of(deltas)
        seen[check(deltas, (named,) if named else given_tools)] += 1

    holds()
    assert seen.keys() <= {"tool_calls", "length", "context", "refused"}
    assert seen["tool_calls"] > seen["length"] + seen["refused"], seen


def test_a_tool_or_an_answer_both_fit(house: House) -> None:
    seen = Counter[str]()

    @given(tool_schemas(), schemas(), seeds)
    @asking(50)
    def holds(arguments: Any, schema: Any, seed: int) -> None:
        tool = Tool("do_it", "", arguments, strict=True)
        try:
            deltas = house.chat("Hello", wild(seed, TOKENS, 2.0), tools=(tool,), json_schema=schema)
        except InvalidRequest:
            seen["refused"] += 1
            return
        reason = check(deltas, (tool,))
        if reason == "stop":
            assert not calls_of(deltas)
            assert fits(text_of(deltas), schema), (schema, text_of(deltas))
        seen[reason] += 1

    holds()
    assert seen["tool_calls"] > 5, seen
    assert seen["stop"] > 5, seen


def test_a_strict_tool_that_is_called_freely_fits(house: House) -> None:
    """llama.cpp's own grammar lets formats and combinations pass: such calls are written anew."""
    seen = Counter[str]()

    @given(plain, seeds)
    @asking(50)
    def holds(city: Any, seed: int) -> None:
        schema = {"type": "object", "properties": {"city": city}, "required": ["city"], "additionalProperties": False}
        tool = Tool("get_weather", "Get the weather of a city", schema, strict=True)
        try:
            deltas = house.chat("What is the weather in Oslo?", wild(seed, TOKENS, 0.5), tools=(tool,))
        except InvalidRequest:
            seen["refused"] += 1
            return
        seen[check(deltas, (tool,))] += 1

    holds()
    assert seen["tool_calls"] > 5, seen
