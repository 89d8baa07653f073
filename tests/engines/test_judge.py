"""A whole answer that breaks its promise is an error; one that was cut is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from outcrop.engines.engine import (
    ChatRequest,
    CompletionRequest,
    Delta,
    EngineFailed,
    Finish,
    FinishReason,
    InvalidRequest,
    TextDelta,
    Tool,
    ToolCallDelta,
    ToolCallStart,
    ToolChoice,
    Usage,
)
from outcrop.engines.judge import Judge, conforming

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
TOOL, STRICT = Tool("f", "", SCHEMA), Tool("s", "", SCHEMA, strict=True)
MUST = ToolChoice("any")


def judged(request: ChatRequest | CompletionRequest, *deltas: Delta, reason: FinishReason = "stop") -> list[Delta]:
    async def answer() -> AsyncGenerator[Delta, None]:
        for delta in (*deltas, Finish(reason, Usage(1, 1))):
            yield delta

    async def collected() -> list[Delta]:
        return [delta async for delta in conforming(answer(), Judge(request))]

    return asyncio.run(collected())


def called(name: str, arguments: str, index: int = 0) -> tuple[Delta, ...]:
    half = len(arguments) // 2
    pieces = [ToolCallDelta(index, piece) for piece in (arguments[:half], arguments[half:]) if piece]
    return (ToolCallStart(index, "c", name), *pieces)


def asked(*tools: Tool, choice: ToolChoice = MUST, schema: Any = None) -> ChatRequest:
    return ChatRequest((), tools, choice, schema)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"n": 1}', None),
        ('{"n": 1.0}', None),
        ('{"n": "1"}', "at /n: .*integer"),
        ('{"n": 1, "m": 2}', "at /: "),
        ("{}", '"n" is a required property'),
        ('{"n": 1', "not JSON"),
        ("", "not JSON"),
        ('{"n": 1e999}', "not JSON"),
        ('```json\n{"n": 1}\n```', "not JSON"),
    ],
)
def test_an_answer_is_held_to_its_schema(text: str, problem: str | None) -> None:
    for request in (ChatRequest((), json_schema=SCHEMA), CompletionRequest("p", SCHEMA)):
        if problem is None:
            assert len(judged(request, TextDelta(text))) == 2
        else:
            with pytest.raises(EngineFailed, match=f"does not fit the JSON schema: .*{problem}"):
                judged(request, TextDelta(text[:3]), TextDelta(text[3:]))


@pytest.mark.parametrize("reason", ["length", "context", "stop_sequence", "content_filter", "malformed_tool_call"])
def test_what_is_not_whole_is_not_judged(reason: FinishReason) -> None:
    assert judged(ChatRequest((), json_schema=SCHEMA), TextDelta("{"), reason=reason)
    assert judged(asked(TOOL), *called("f", "{"), reason=reason)


@pytest.mark.parametrize(
    ("request_", "calls", "problem"),
    [
        (asked(TOOL), called("f", '{"n": 1}'), None),
        (asked(TOOL), called("f", '{"n": null}'), "call of f does not fit"),
        (asked(TOOL), called("f", ""), "required"),
        (asked(TOOL), (), "did not call a tool"),
        (asked(TOOL), called("g", "{}"), "called g"),
        (asked(TOOL, STRICT, choice=ToolChoice("tool", "s")), called("f", '{"n": 1}'), "called f"),
        (asked(TOOL, STRICT), (*called("s", '{"n": 1}'), *called("f", "{}", 1)), "call of f"),
        (asked(TOOL, STRICT, choice=ToolChoice()), called("f", '{"n": null}'), None),
        (asked(TOOL, STRICT, choice=ToolChoice()), called("s", '{"n": null}'), "call of s"),
        (asked(TOOL, STRICT, choice=ToolChoice()), (), None),
        (asked(STRICT, choice=ToolChoice(), schema=SCHEMA), called("s", '{"n": 2}'), None),
    ],
)
def test_calls_are_held_to_their_tools(request_: ChatRequest, calls: tuple[Delta, ...], problem: str | None) -> None:
    reason: FinishReason = "tool_calls" if calls else "stop"
    if problem is None:
        assert judged(request_, *calls, reason=reason)[:-1] == [*calls]
    else:
        with pytest.raises(EngineFailed, match=problem):
            judged(request_, *calls, reason=reason)


@pytest.mark.parametrize("name", ["date", "email", "uri", "ipv6", "uuid", "date-time", "duration", "hostname"])
def test_formats_are_promises(name: str) -> None:
    with pytest.raises(EngineFailed, match=name):
        judged(ChatRequest((), json_schema={"type": "string", "format": name}), TextDelta('"not one!"'))


@pytest.mark.parametrize("name", ["regex", "uri-template", "no-such-format"])
def test_other_formats_are_not(name: str) -> None:
    assert judged(ChatRequest((), json_schema={"type": "string", "format": name}), TextDelta('"({"'))


@pytest.mark.parametrize("schema", [{"type": "weird"}, {"$ref": "http://127.0.0.1:9/x"}, {"$ref": "#/nowhere"}])
def test_what_is_no_schema_is_refused_before_anything_is_asked(schema: Any) -> None:
    with pytest.raises(InvalidRequest, match="not valid"):
        Judge(ChatRequest((), json_schema=schema))
    with pytest.raises(InvalidRequest, match="not valid"):
        Judge(asked(Tool("f", "", schema)))
    assert not Judge(asked(Tool("f", "", schema), choice=ToolChoice())).needed


def test_a_long_value_is_not_repeated_in_full() -> None:
    with pytest.raises(EngineFailed) as caught:
        judged(ChatRequest((), json_schema={"type": "null"}), TextDelta('"' + "secret " * 1000 + '"'))
    assert len(str(caught.value)) < 400
