"""Scripts: which rule answers, at what pace, with which error, and what a mistake in one is told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from outcrop.engines.engine import (
    ChatRequest,
    ContextOverflow,
    Delta,
    EngineBusy,
    EngineError,
    EngineFailed,
    EngineTimeout,
    Finish,
    InvalidRequest,
    Message,
    ReasoningDelta,
    Sampling,
    Text,
    TextDelta,
    Tool,
    ToolCallStart,
    ToolResult,
)
from outcrop.engines.scripted import Scripted
from outcrop.engines.smallest import smallest
from outcrop.settings import ModelSpec

WEATHER = Tool("get_weather", "", {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})


def engine(tmp_path: Path, script: object, name: str = "script.json", **changes: Any) -> Scripted:
    path = tmp_path / name
    path.write_text(script if isinstance(script, str) else json.dumps(script))
    return Scripted(ModelSpec(id="s", engine="scripted", script=str(path), **changes))


def ask(made: Scripted, text: str, **more: Any) -> list[Delta]:
    async def run() -> list[Delta]:
        return [delta async for delta in made.chat(ChatRequest((Message("user", (Text(text),)),), **more))]

    return asyncio.run(run())


def said(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


def test_the_first_rule_that_fits_answers(tmp_path: Path) -> None:
    made = engine(
        tmp_path,
        {
            "rules": [
                {"contains": "WEATHER", "text": "sunny"},
                {"matches": r"^\d+$", "text": "a number"},
                {"text": "else"},
            ]
        },
    )
    assert said(ask(made, "the weather?")) == "sunny"
    assert said(ask(made, "42")) == "a number"
    assert said(ask(made, "x42")) == "else"


def test_a_rule_for_all_messages_as_they_are(tmp_path: Path) -> None:
    made = engine(tmp_path, {"rules": [{"messages": ["Be brief.", "Who?"], "text": "I."}, {"text": "else"}]})

    async def run(*messages: Message) -> list[Delta]:
        return [delta async for delta in made.chat(ChatRequest(messages))]

    system, question = Message("system", (Text("Be brief."),)), Message("user", (Text("Who?"),))
    assert said(asyncio.run(run(system, question))) == "I."
    assert said(asyncio.run(run(question))) == "else"
    assert said(asyncio.run(run(system, question, question))) == "else"


def test_without_a_script_the_question_comes_back() -> None:
    assert said(ask(Scripted(ModelSpec(id="s", engine="scripted")), "say  this")) == "say  this"


def test_a_toml_script(tmp_path: Path) -> None:
    assert said(ask(engine(tmp_path, '[[rules]]\ntext = "from toml"\n', "script.toml"), "x")) == "from toml"


def test_tools_and_their_results(tmp_path: Path) -> None:
    call = {
        "tool": "get_weather",
        "after_tool_result": False,
        "tool_calls": [{"name": "get_weather", "arguments": {"city": "Oslo"}}],
    }
    made = engine(tmp_path, {"rules": [call, {"after_tool_result": True, "text": "It is sunny."}, {"text": "no tool"}]})
    assert [d.name for d in ask(made, "weather", tools=(WEATHER,)) if isinstance(d, ToolCallStart)] == ["get_weather"]
    assert said(ask(made, "weather")) == "no tool"
    result = ChatRequest((Message("user", (ToolResult("1", (Text("sunny"),)),)),), tools=(WEATHER,))

    async def run() -> list[Delta]:
        return [delta async for delta in made.chat(result)]

    assert said(asyncio.run(run())) == "It is sunny."


def test_reasoning_usage_and_finish(tmp_path: Path) -> None:
    rule = {"reasoning": "let me see", "text": "one two three", "cached_tokens": 2, "finish": "content_filter"}
    deltas = ask(engine(tmp_path, {"rules": [rule]}), "a b c")
    assert "".join(d.text for d in deltas if isinstance(d, ReasoningDelta)) == "let me see"
    last = deltas[-1]
    assert isinstance(last, Finish)
    assert last.reason == "content_filter"
    assert (last.usage.input_tokens, last.usage.output_tokens, last.usage.cached_tokens) == (4, 6, 2)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("failed", EngineFailed),
        ("busy", EngineBusy),
        ("timeout", EngineTimeout),
        ("overflow", ContextOverflow),
        ("invalid", InvalidRequest),
    ],
)
@pytest.mark.parametrize("after", [0, 2])
def test_errors_come_where_the_script_says(tmp_path: Path, kind: str, expected: type[EngineError], after: int) -> None:
    made = engine(tmp_path, {"rules": [{"text": "one two three", "error": {"kind": kind, "after_deltas": after}}]})
    seen: list[Delta] = []

    async def run() -> None:
        async for delta in made.chat(ChatRequest((Message("user", (Text("x"),)),))):
            seen.append(delta)  # noqa: PERF401 - what came before the error is wanted

    with pytest.raises(expected):
        asyncio.run(run())
    assert len(seen) == after


def test_an_answer_that_was_cut_short_never_meets_the_error(tmp_path: Path) -> None:
    made = engine(tmp_path, {"rules": [{"text": "one two three", "error": {"kind": "failed", "after_deltas": 3}}]})
    last = ask(made, "x", sampling=Sampling(max_tokens=2))[-1]
    assert isinstance(last, Finish)
    assert last.reason == "length"


def test_delays_are_kept(tmp_path: Path) -> None:
    made = engine(tmp_path, {"rules": [{"text": "one two", "first_delay_ms": 80, "delta_delay_ms": 80}]})

    async def run() -> float:
        started = asyncio.get_running_loop().time()
        async for _ in made.chat(ChatRequest((Message("user", (Text("x"),)),))):
            pass
        return asyncio.get_running_loop().time() - started

    assert asyncio.run(run()) >= 0.15


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("{", "is not valid"),
        ({"rules": [{"txt": "x"}]}, "unknown field `txt`"),
        ({"rules": [{"matches": "("}]}, "missing \\)"),
        ({"rules": [{"error": {"kind": "odd"}}]}, "Invalid enum value 'odd'"),
    ],
)
def test_a_mistake_is_a_sentence(tmp_path: Path, script: object, sentence: str) -> None:
    with pytest.raises(EngineError, match=sentence):
        engine(tmp_path, script)


def test_a_missing_script_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot be read"):
        Scripted(ModelSpec(id="s", engine="scripted", script=str(tmp_path / "no.json")))


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "properties": {"a": {"type": "string", "format": "date"}}, "required": ["a"]},
        {"type": "array", "items": {"enum": ["x"]}, "minItems": 1},
        {"anyOf": [{"type": "null"}, {"type": "string"}]},
        {"$defs": {"n": {"type": "integer", "minimum": 3}}, "$ref": "#/$defs/n"},
        {"allOf": [{"type": "object", "properties": {"a": {"const": 1}}, "required": ["a"]}]},
        {"type": ["number", "null"], "maximum": -2},
        {"type": "boolean"},
    ],
)
def test_the_smallest_value_fits(schema: dict[str, Any]) -> None:
    jsonschema.validate(smallest(schema), schema)
