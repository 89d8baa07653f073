"""Anthropic Messages: what of a body reaches the engine, and what is refused in the validator's or the model's words."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from outcrop.engines.engine import Image, Reasoning, Text, Tool, ToolCall, ToolChoice, ToolResult
from outcrop.errors import AwsError
from outcrop.inference.operations import invoke_model
from outcrop.settings import ModelSpec
from tests.inference.bench import MODEL, Bench, settings
from tests.inference.bench import bench as bench_of
from tests.inference.native import assistant, body, invoke, text, user
from tests.inference.test_documents import pdf
from tests.inference.test_images import png

TOOL = {"name": "f", "description": "d", "input_schema": {"type": "object"}}


def base64_source(kind: str, data: bytes) -> dict[str, Any]:
    return {"type": "base64", "media_type": kind, "data": base64.b64encode(data).decode()}


def test_everything_about_sampling_reaches_the_engine(bench: Bench) -> None:
    invoke(bench, max_tokens=9, temperature=0.5, top_p=0.9, top_k=3, stop_sequences=["a"], metadata={"user_id": "u"})
    sampling = bench.asked.sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.top_p, sampling.top_k) == (9, 0.5, 0.9, 3)
    assert sampling.stop == ("a",)


def test_system_turns_and_prefill(bench: Bench) -> None:
    invoke(bench, "a", "b", assistant(text("c")), "d", assistant(text("Well")), system=[text("x"), text("y")])
    assert [message.role for message in bench.asked.messages] == ["system", "user", "assistant", "user", "assistant"]
    assert bench.asked.messages[0].parts == (Text("x\ny"),)
    assert bench.asked.messages[1].parts == (Text("a"), Text("b"))
    invoke(bench, "a", assistant(), system="")
    assert [message.role for message in bench.asked.messages] == ["user"]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (None, ToolChoice()),
        ({"type": "auto"}, ToolChoice()),
        ({"type": "any"}, ToolChoice("any")),
        ({"type": "tool", "name": "f"}, ToolChoice("tool", "f")),
        ({"type": "none"}, ToolChoice("none")),
    ],
)
def test_tools(bench: Bench, choice: Any, expected: ToolChoice) -> None:
    invoke(bench, tools=[TOOL, {**TOOL, "name": "g", "type": "custom", "strict": True}], tool_choice=choice)
    assert bench.asked.tools == (Tool("f", "d", {"type": "object"}), Tool("g", "d", {"type": "object"}, strict=True))
    assert bench.asked.tool_choice == expected


def test_every_block_reaches_the_engine(bench: Bench) -> None:
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": None}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "ok", "is_error": True}
    image = {"type": "image", "source": base64_source("image/png", png(1, 1))}
    thought = {"type": "thinking", "thinking": "hm", "signature": ""}
    invoke(bench, user(text("a"), image), assistant(thought, text("b"), call), user(result), tools=[TOOL])
    first, second, third = bench.asked.messages
    assert first.parts == (Text("a"), Image("png", png(1, 1)))
    assert second.parts == (Reasoning("hm"), Text("b"), ToolCall("t", "f", {"a": None}))
    assert third.parts == (ToolResult("t", (Text("ok"),), error=True),)


def test_documents_in_three_forms(bench: Bench) -> None:
    sources: list[Any] = [
        base64_source("application/pdf", pdf("Page")),
        {"type": "text", "media_type": "text/plain", "data": "Plain"},
        {"type": "content", "content": [text("One"), text("Two")]},
    ]
    invoke(bench, user(*({"type": "document", "source": source, "title": "a.b"} for source in sources)))
    assert bench.asked_texts == [
        '<document name="a.b" format="pdf">\nPage\n</document>',
        '<document name="a.b" format="txt">\nPlain\n</document>',
        '<document name="a.b" format="txt">\nOne\nTwo\n</document>',
    ]


def test_structured_output(bench: Bench) -> None:
    invoke(bench, output_config={"format": {"type": "json_schema", "schema": {"type": "string"}}})
    assert bench.asked.json_schema == {"type": "string"}


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"anthropic_version": None}, "required key [anthropic_version] not found"),
        ({"anthropic_version": "1"}, "#/anthropic_version: 1 is not a valid enum value"),
        ({"max_tokens": None}, "required key [max_tokens] not found"),
        ({"max_tokens": None, "messages": None}, "2 schema violations found"),
        ({"model": "m"}, "extraneous key [model] is not permitted"),
        ({"stream": True}, "extraneous key [stream] is not permitted"),
        ({"amazon-bedrock-guardrailConfig": {}}, "extraneous key [amazon-bedrock-guardrailConfig]"),
        ({"max_tokens": 0}, "#/max_tokens: 0 is not greater or equal to 1"),
        ({"max_tokens": 1.5}, "expected type: Integer, found: BigDecimal"),
        ({"temperature": 1.1}, "#/temperature: 1.1 is not less or equal to 1"),
        ({"top_k": 501}, "#/top_k: 501 is not less or equal to 500"),
        ({"stop_sequences": "x"}, "expected type: JSONArray, found: String"),
        ({"messages": [3]}, "#/messages/0: expected type: JSONObject, found: Integer"),
        ({"messages": [user({"text": "x"})]}, "#/messages/0/content/0: required key [type] not found"),
        ({"messages": [user({"type": []})]}, "is not a valid enum value"),
        ({"messages": [user({"type": "text", "text": "a", "cache_control": "x"})]}, "cache_control: expected type"),
        ({"messages": [user({"type": "text", "text": "a", "cache_control": {"type": "x"}})]}, "not a valid enum value"),
        (
            {"messages": [user({"type": "document", "source": {"type": "content", "content": "x"}, "citations": 1})]},
            "citations: expected type: JSONObject",
        ),
        ({"output_config": {"speed": 1}}, "#/output_config: extraneous key [speed]"),
        ({"tools": [{**TOOL, "type": []}]}, "#/tools/0/type: expected type: String"),
        ({"tools": [{"name": "f"}]}, "required key [input_schema] not found"),
        ({"tools": [TOOL], "tool_choice": {"type": "any", "extra": 1}}, "extraneous key [extra]"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"messages": [assistant(text("a"))]}, 'messages: first message must use the "user" role'),
        ({"messages": [user(text(" "))]}, "text content blocks must contain non-whitespace text"),
        ({"messages": [user()]}, "messages.0: all messages must have non-empty content"),
        ({"max_tokens": 4097}, "max_tokens: 4097 > 4096"),
        ({"context_management": {}}, "context_management"),
        ({"output_config": {"effort": "low"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "regex"}}}, "output_config.format.type"),
        ({"output_config": {"format": {"type": "json_schema", "schema": {"minimum": 1}}}}, "'minimum' is not supported"),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, "greater than or equal to 1024"),
        ({"tools": [{"type": "bash_20250124", "name": "bash"}]}, "does not support tool types: bash_20250124"),
        ({"tools": [TOOL, TOOL]}, "tools: Tool names must be unique"),
        ({"tools": [{**TOOL, "name": "a b"}]}, "tools.0.custom.name"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "g"}}, "Tool 'g' not found"),
        ({"tool_choice": {"type": "auto"}}, "tools must be given"),
        (
            {"messages": [user(text("a")), assistant({"type": "tool_use", "id": "t", "name": "f", "input": {}})]},
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: t",
        ),
        (
            {"messages": [user({"type": "image", "source": base64_source("image/tiff", b"x")})]},
            "media_type: Input should be",
        ),
        (
            {"messages": [user({"type": "image", "source": {**base64_source("image/png", b""), "data": "é"}})]},
            "invalid base64 data",
        ),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(bench: Bench, members: dict[str, Any], words: str) -> None:
    with pytest.raises(AwsError) as caught:
        invoke(bench, **members)
    assert words in caught.value.message
    assert caught.value.code == "ValidationException"
    assert "returned the following errors" not in caught.value.message
    assert bench.engine.asked == []


@pytest.mark.parametrize("given", [b"", b"{", b"\xff", b"[]", b"null", b"3"])
def test_what_is_no_object(bench: Bench, given: bytes) -> None:
    with pytest.raises(AwsError, match="Malformed input request") as caught:
        bench.call(invoke_model, body=given)
    assert caught.value.code == "ValidationException"


def test_null_means_not_given(bench: Bench) -> None:
    given = body().replace(b'"max_tokens"', b'"temperature": null, "tools": null, "system": null, "max_tokens"')
    bench.call(invoke_model, body=given)
    assert bench.asked.sampling.temperature is None


def test_a_model_that_does_not_chat(tmp_path: Path) -> None:
    spec = ModelSpec(id=MODEL, engine="scripted", family="anthropic")
    bench = bench_of(tmp_path, chosen=settings(models=(spec,)))
    bench.engine.able = replace(bench.engine.able, chat=False)
    with pytest.raises(AwsError, match="doesn't support Anthropic Messages"):
        invoke(bench)
