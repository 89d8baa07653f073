"""Chat completions as a native body: what reaches the engine, what comes back, whole and in chunks."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from outcrop.engines.engine import (
    Delta,
    Finish,
    Image,
    Message,
    Reasoning,
    ReasoningDelta,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStart,
    ToolChoice,
    ToolResult,
    Usage,
)
from outcrop.errors import AwsError
from outcrop.inference.operations import count_tokens, invoke_model, invoke_model_with_response_stream
from outcrop.settings import FamilyName, ModelSpec
from tests.inference.bench import MODEL, Bench, Prepared, bench, settings
from tests.inference.test_images import png

TOOL = {
    "type": "function",
    "function": {
        "name": "f",
        "description": "d",
        "parameters": {"type": "object", "properties": {"a": {"type": "string"}}},
    },
}
OTHER = {"type": "function", "function": {"name": "g"}}
CALL: list[Delta] = [
    ReasoningDelta("hm"),
    TextDelta("I call."),
    ToolCallStart(0, "x", "f"),
    ToolCallDelta(0, '{"a":'),
    ToolCallDelta(0, '"b"}'),
    Finish("tool_calls", Usage(10, 5, 4)),
]


def opened(folder: Path, family: FamilyName = "openai-chat", engine: Prepared | None = None) -> Bench:
    spec = ModelSpec(id=MODEL, engine="scripted", family=family)
    return bench(folder, engine=engine, chosen=settings(models=(spec,)))


@pytest.fixture
def chat(tmp_path: Path) -> Bench:
    return opened(tmp_path)


def body(*messages: Any, **members: Any) -> bytes:
    given = [{"role": "user", "content": m} if isinstance(m, str) else m for m in messages or ("Hi",)]
    return json.dumps({"messages": given, **members}).encode()


def ask(chat: Bench, *messages: Any, **members: Any) -> Any:
    return json.loads(chat.call(invoke_model, body=body(*messages, **members))["body"])


def stream(chat: Bench, *messages: Any, **members: Any) -> list[Any]:
    events = chat.stream(invoke_model_with_response_stream, body=body(*messages, **members))
    return [json.loads(event["chunk"]["bytes"]) for event in events]


def test_a_plain_answer(chat: Bench) -> None:
    answer = ask(chat, {"role": "system", "content": "Be brief."}, "Hi", {"role": "developer", "content": "Rhyme."})
    assert chat.asked.messages == (
        Message("system", (Text("Be brief.\nRhyme."),)),
        Message("user", (Text("Hi"),)),
    )
    assert answer["object"] == "chat.completion"
    assert answer["model"] == MODEL
    assert answer["id"].startswith("chatcmpl-")
    assert answer["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert answer["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 3,
        "total_tokens": 13,
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def test_sampling_reaches_the_engine(chat: Bench) -> None:
    ask(
        chat,
        max_tokens=7,
        temperature=1.5,
        top_p=0.5,
        top_k=4,
        seed=3,
        stop="x",
        frequency_penalty=1,
        presence_penalty=-1,
    )
    sampling = chat.asked.sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.top_p, sampling.top_k) == (7, 1.5, 0.5, 4)
    assert (sampling.seed, sampling.stop, sampling.frequency_penalty, sampling.presence_penalty) == (3, ("x",), 1, -1)
    ask(chat, max_completion_tokens=9, max_tokens=7, stop=["a", "b"])
    assert (chat.asked.sampling.max_tokens, chat.asked.sampling.stop) == (9, ("a", "b"))


def test_a_whole_conversation_with_tools(chat: Bench) -> None:
    image = "data:image/png;base64," + base64.b64encode(png(2, 2)).decode()
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": "b"}'}}
    ask(
        chat,
        {
            "role": "user",
            "content": [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": image}}],
        },
        {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "found"},
        "And?",
        tools=[TOOL, OTHER],
        tool_choice={"type": "function", "function": {"name": "f"}},
    )
    assert [turn.role for turn in chat.asked.messages] == ["user", "assistant", "user"]
    first, second, third = chat.asked.messages
    assert first.parts == (Text("Look"), Image("png", png(2, 2)))
    assert second.parts == (Reasoning("hm"), ToolCall("c1", "f", {"a": "b"}))
    assert third.parts == (ToolResult("c1", (Text("found"),)), Text("And?"))
    assert [tool.name for tool in chat.asked.tools] == ["f", "g"]
    assert chat.asked.tool_choice == ToolChoice("tool", "f")


@pytest.mark.parametrize(
    ("choice", "mode", "names"),
    [
        ("auto", "auto", ["f", "g"]),
        ("none", "none", ["f", "g"]),
        ("required", "any", ["f", "g"]),
        ({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [OTHER]}}, "any", ["g"]),
    ],
)
def test_tool_choices(chat: Bench, choice: Any, mode: str, names: list[str]) -> None:
    ask(chat, tools=[TOOL, OTHER], tool_choice=choice)
    assert (chat.asked.tool_choice.mode, [tool.name for tool in chat.asked.tools]) == (mode, names)


def test_an_answer_that_calls(chat: Bench) -> None:
    chat.engine.deltas = CALL
    choice = ask(chat, tools=[TOOL])["choices"][0]
    message = choice["message"]
    assert choice["finish_reason"] == "tool_calls"
    assert (message["content"], message["reasoning_content"]) == ("I call.", "hm")
    assert [call["function"] for call in message["tool_calls"]] == [{"name": "f", "arguments": '{"a":"b"}'}]
    assert message["tool_calls"][0]["id"].startswith("call_")


def test_the_same_in_chunks(chat: Bench) -> None:
    chat.engine.deltas = CALL
    found = stream(chat, tools=[TOOL], stream=True, stream_options={"include_usage": True})
    assert {chunk["object"] for chunk in found} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in found}) == 1
    deltas = [chunk["choices"][0]["delta"] for chunk in found[:-1]]
    identity = deltas[3]["tool_calls"][0]["id"]
    assert deltas == [
        {"role": "assistant", "content": ""},
        {"reasoning_content": "hm"},
        {"content": "I call."},
        {"tool_calls": [{"index": 0, "id": identity, "type": "function", "function": {"name": "f", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '"b"}'}}]},
        {},
    ]
    assert found[-2]["choices"][0]["finish_reason"] == "tool_calls"
    assert (found[-1]["choices"], found[-1]["usage"]["prompt_tokens_details"]) == ([], {"cached_tokens": 4})
    assert found[-1]["amazon-bedrock-invocationMetrics"]["inputTokenCount"] == 6
    assert not any("amazon-bedrock-invocationMetrics" in chunk for chunk in found[:-1])


def test_gpt_oss_reasons_in_tags(tmp_path: Path) -> None:
    chat = opened(tmp_path, "gpt-oss")
    chat.engine.deltas = [ReasoningDelta("so"), ReasoningDelta(" so"), TextDelta("Yes"), Finish("stop", Usage(1, 1))]
    assert ask(chat)["choices"][0]["message"]["content"] == "<reasoning>so so</reasoning>Yes"
    found = stream(chat)
    pieces = [chunk["choices"][0]["delta"].get("content", "") for chunk in found]
    assert "".join(pieces) == "<reasoning>so so</reasoning>Yes"
    assert "amazon-bedrock-invocationMetrics" in found[-1]


def test_schemas(chat: Bench) -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    ask(chat, response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema}})
    assert chat.asked.json_schema == schema
    ask(chat, response_format={"type": "json_object"})
    assert chat.asked.json_schema == {"type": "object"}
    ask(chat, response_format={"type": "text"})
    assert chat.asked.json_schema is None


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"n": 2}, "one choice"),
        ({"logprobs": True}, "log probabilities"),
        ({"logit_bias": {"1": 5}}, "logit biases"),
        ({"reasoning_effort": "low"}, "reasoning_effort"),
        ({"modalities": ["audio"]}, "text only"),
        ({"max_gen_len": 5}, r"extraneous key \[max_gen_len\] is not permitted"),
        ({"temperature": 3}, "not less or equal to 2"),
        ({"stop": [""]}, "none of them empty"),
        ({"tools": [{"type": "web_search"}]}, "Only tools of the type 'function'"),
        ({"tools": [TOOL], "tool_choice": "sometimes"}, "tool_choice"),
        ({"tool_choice": "required"}, "needs tools"),
        ({"response_format": {"type": "xml"}}, "response_format"),
        ({"model": "no.such-model"}, "identifier is invalid"),
        ({"stream": True}, "does not match the operation"),
        ({"max_tokens": 100_000}, "max_tokens is too large: 100000"),
    ],
)
def test_what_is_refused(chat: Bench, members: dict[str, Any], told: str) -> None:
    with pytest.raises(AwsError, match=told) as caught:
        ask(chat, **members)
    assert caught.value.code == "ValidationException"


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ({"role": "robot", "content": "x"}, "role"),
        ({"role": "user", "content": ""}, "empty"),
        ({"role": "user", "content": [{"type": "input_audio"}]}, "type"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}, "not fetched"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,!"}}]},
            "base64",
        ),
        ({"role": "tool", "content": "x"}, "tool_call_id"),
        ({"role": "tool", "tool_call_id": "c", "content": "x"}, "must be a response to a preceding message"),
        ({"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "["}}]}, "arguments"),
        (
            {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f"}}]},
            "did not have response messages: c",
        ),
        ("x", "role"),
    ],
)
def test_messages_that_are_refused(chat: Bench, message: Any, told: str) -> None:
    with pytest.raises(AwsError, match=told):
        chat.call(invoke_model, body=json.dumps({"messages": [message]}).encode())


def test_a_body_of_another_family(chat: Bench) -> None:
    with pytest.raises(AwsError, match=r"extraneous key \[anthropic_version\] is not permitted"):
        ask(chat, anthropic_version="bedrock-2023-05-31")


def test_a_call_that_cannot_be_read(chat: Bench) -> None:
    chat.engine.deltas = [ToolCallStart(0, "x", "f"), ToolCallDelta(0, "{"), Finish("tool_calls", Usage(1, 1))]
    with pytest.raises(AwsError, match="cannot be read"):
        ask(chat, tools=[TOOL])
    with pytest.raises(AwsError, match="cannot be read"):
        stream(chat, tools=[TOOL])


def test_counting(chat: Bench) -> None:
    given = {"invokeModel": {"body": body("a", {"role": "assistant", "content": "b"}, "c")}}
    assert chat.call(count_tokens, input=given) == {"inputTokens": 30}
