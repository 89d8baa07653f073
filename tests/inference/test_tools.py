"""Tools in Converse: declarations, choices, and calls with their results."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from outcrop.engines.engine import Text, Tool, ToolCall, ToolChoice, ToolResult
from outcrop.errors import AwsError
from outcrop.inference.operations import converse
from tests.inference.bench import Bench, assistant, user


def spec(name: str = "f", **changes: Any) -> dict[str, Any]:
    return {"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}, **changes}}


def called(call_id: str) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": call_id, "name": "f", "input": {"a": 1}}}


def result(call_id: str, *content: Any, **changes: Any) -> dict[str, Any]:
    return {"toolResult": {"toolUseId": call_id, "content": list(content) or [{"text": "ok"}], **changes}}


TOOLS = {"tools": [spec()]}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, ToolChoice()),
        ({"auto": {}}, ToolChoice()),
        ({"any": {}}, ToolChoice("any")),
        ({"tool": {"name": "g"}}, ToolChoice("tool", "g")),
    ],
)
def test_tools_and_choice_reach_the_engine(bench: Bench, choice: Any, expected: ToolChoice) -> None:
    tools: dict[str, Any] = {"tools": [spec(description="d"), spec("g", strict=True), {"cachePoint": {}}]}
    bench.call(converse, messages=[user("Hi")], toolConfig=tools | ({"toolChoice": choice} if choice else {}))
    assert bench.asked.tools == (Tool("f", "d", {"type": "object"}), Tool("g", "", {"type": "object"}, strict=True))
    assert bench.asked.tool_choice == expected


@pytest.mark.parametrize(
    ("tools", "words"),
    [
        ({"tools": [spec(), spec()]}, "names must be unique"),
        ({"tools": [spec()], "toolChoice": {"tool": {"name": "g"}}}, "Tool 'g' not found"),
        ({"tools": [{"systemTool": {"name": "s"}}]}, "system tools"),
        ({"tools": [spec(inputSchema={"json": {"type": "array"}})]}, "type must be one of the following: object"),
        ({"tools": [spec(inputSchema={"json": {}})]}, "type must be one of the following: object"),
        ({"tools": [spec(inputSchema={"json": [1]})]}, "is invalid. Provide a json object"),
        ({"tools": [spec(strict=True, inputSchema={"json": {"type": "object", "maxProperties": 1}})]}, "maxProperties"),
    ],
)
def test_tools_that_cannot_be(bench: Bench, tools: dict[str, Any], words: str) -> None:
    with pytest.raises(AwsError, match=words):
        bench.call(converse, messages=[user("Hi")], toolConfig=tools)
    assert bench.engine.asked == []


def test_a_model_without_tools_refuses_them(bench: Bench) -> None:
    bench.engine.able = replace(bench.engine.able, tools=False)
    with pytest.raises(AwsError, match="This model doesn't support tool use"):
        bench.call(converse, messages=[user("Hi")], toolConfig=TOOLS)


def test_calls_and_results_reach_the_engine(bench: Bench) -> None:
    results = user(result("1", {"json": {"b": [2]}}), result("2", {"text": "no"}, status="error"))
    bench.call(converse, messages=[user("Hi"), assistant("So", called("1"), called("2")), results], toolConfig=TOOLS)
    assert bench.asked.messages[1].parts == (Text("So"), ToolCall("1", "f", {"a": 1}), ToolCall("2", "f", {"a": 1}))
    assert bench.asked.messages[2].parts == (
        ToolResult("1", (Text('{"b": [2]}'),)),
        ToolResult("2", (Text("no"),), error=True),
    )


def test_a_search_result_is_text(bench: Bench) -> None:
    found = {"source": "s", "title": "t", "content": [{"text": "a"}, {"text": "b"}], "citations": {"enabled": False}}
    messages = [user("Hi"), assistant(called("1")), user(result("1", {"searchResult": found}))]
    bench.call(converse, messages=messages, toolConfig=TOOLS)
    (part,) = bench.asked.messages[-1].parts
    assert isinstance(part, ToolResult)
    assert part.parts == (Text('<search_result title="t" source="s">\na\nb\n</search_result>'),)
    found["citations"] = {"enabled": True}
    with pytest.raises(AwsError, match="citations"):
        bench.call(converse, messages=messages, toolConfig=TOOLS)


@pytest.mark.parametrize(
    ("turns", "words"),
    [
        ([assistant(called("1")), user("x")], "Expected toolResult blocks at messages.2.content for .* Ids: 1"),
        ([assistant(called("1"), called("2")), user(result("1"))], "Ids: 2"),
        ([assistant(called("1"))], "Expected toolResult blocks at messages.2.content"),
        ([assistant("x"), user(result("1"))], "number of toolResult blocks at messages.2.content exceeds"),
        ([assistant(called("1")), user(result("1"), result("1"))], "exceeds the number of toolUse blocks"),
        ([assistant(called("1")), user(result("1"), result("9"))], "exceeds the number of toolUse blocks"),
        ([assistant(called("1"), called("1")), user(result("1"))], "ids must be unique"),
        ([assistant({"toolUse": {"toolUseId": "1", "name": "f", "input": [1]}}), user(result("1"))], "toolUse.input"),
        ([assistant(called("1")), user(result("1", {"video": {}}))], "doesn't support video"),
    ],
)
def test_results_that_do_not_fit_the_calls(bench: Bench, turns: list[Any], words: str) -> None:
    with pytest.raises(AwsError, match=words):
        bench.call(converse, messages=[user("Hi"), *turns], toolConfig=TOOLS)
    assert bench.engine.asked == []


def test_a_history_with_tools_needs_tools(bench: Bench) -> None:
    with pytest.raises(AwsError, match="The toolConfig field must be defined"):
        bench.call(converse, messages=[user("Hi"), assistant(called("1")), user(result("1"))])
