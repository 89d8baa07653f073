"""Mistral's text completion and chat completion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from outcrop.engines.engine import (
    CompletionRequest,
    Delta,
    Finish,
    FinishReason,
    Sampling,
    Text,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStart,
    ToolResult,
    Usage,
)
from outcrop.errors import ModelErrorException
from tests.inference.bench import Bench
from tests.inference.families.calls import bench_of, completed, invoke, malformed, refused, stream, told

TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
CALLING: list[Delta] = [
    TextDelta("So"), ToolCallStart(0, "0", "f"), ToolCallDelta(0, '{"a"'), ToolCallDelta(0, ":1}"),
    Finish("tool_calls", Usage(10, 3)),
]  # fmt: skip


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


@pytest.fixture
def text(tmp_path: Path) -> Bench:
    return bench_of(tmp_path, "mistral")


@pytest.fixture
def chat(tmp_path: Path) -> Bench:
    return bench_of(tmp_path, "mistral-chat")


def test_the_prompt_is_handed_on_as_it_is(text: Bench) -> None:
    invoke(text, prompt="<s>[INST] Hi [/INST]")
    assert completed(text) == CompletionRequest("<s>[INST] Hi [/INST]", None, Sampling(512, 0.5, 0.9))


def test_parameters_of_text(text: Bench) -> None:
    invoke(text, prompt="a", max_tokens=9, temperature=0, top_p=1, top_k=7, stop=["x", "y"])
    assert completed(text).sampling == Sampling(9, 0, 1, 7, stop=("x", "y"))


def test_text_whole_and_streamed(text: Bench) -> None:
    text.engine.deltas = told("Hel", "lo")
    assert invoke(text, prompt="a") == {"outputs": [{"text": "Hello", "stop_reason": "stop"}]}
    assert stream(text, prompt="a") == [
        {"outputs": [{"text": "Hel", "stop_reason": None}]},
        {"outputs": [{"text": "lo", "stop_reason": None}]},
        {"outputs": [{"text": "", "stop_reason": "stop"}]},
    ]


@pytest.mark.parametrize(("reason", "word"), [("stop_sequence", "stop"), ("length", "length"), ("context", "length")])
def test_stop_reasons_of_text(text: Bench, reason: FinishReason, word: str) -> None:
    text.engine.deltas = told("a", reason=reason)
    assert invoke(text, prompt="a")["outputs"][0]["stop_reason"] == word
    assert stream(text, prompt="a")[-1]["outputs"][0]["stop_reason"] == word


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "#: required key [prompt] not found"),
        ({"prompt": "a", "stop": "x"}, "#/stop: expected type: JSONArray, found: String"),
        ({"prompt": "a", "stop": [1]}, "#/stop/0: expected type: String, found: Integer"),
        ({"prompt": "a", "stop": ["x"] * 11}, "#/stop: expected maximum item count: 10, found: 11"),
        ({"prompt": "a", "max_tokens": 4097}, "#/max_tokens: 4097 is not less or equal to 4096"),
        ({"prompt": "a", "max_gen_len": 1}, "#: extraneous key [max_gen_len] is not permitted"),
    ],
)
def test_refusals_of_text(text: Bench, body: dict[str, Any], problem: str) -> None:
    assert refused(text, **body) == malformed(problem)


def test_chat_reaches_the_engine(chat: Bench) -> None:
    call = {"id": "c1", "function": {"name": "f", "arguments": '{"a": 1}'}}
    invoke(
        chat,
        messages=[
            {"role": "system", "content": "Be kind."},
            user("Hi"),
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "ok"},
        ],
        tools=[TOOL],
    )
    system, first, second, third = chat.asked.messages
    assert (system.role, system.parts) == ("system", (Text("Be kind."),))
    assert first.parts == (Text("Hi"),)
    assert second.parts == (ToolCall("c1", "f", {"a": 1}),)
    assert third.parts == (ToolResult("c1", (Text("ok"),)),)
    assert [tool.name for tool in chat.asked.tools] == ["f"]


def test_defaults_and_parameters_of_chat(chat: Bench) -> None:
    invoke(chat, messages=[user("Hi")])
    assert chat.asked.sampling == Sampling(None, 0.7, 1)
    invoke(chat, messages=[user("Hi")], max_tokens=9, temperature=0, top_p=0.5, random_seed=3, stop="x")
    assert chat.asked.sampling == Sampling(9, 0, 0.5, seed=3, stop=("x",))


@pytest.mark.parametrize(("choice", "mode"), [("auto", "auto"), ("any", "any"), ("none", "none"), (None, "auto")])
def test_tool_choice(chat: Bench, choice: str | None, mode: str) -> None:
    invoke(chat, messages=[user("Hi")], tools=[TOOL], tool_choice=choice)
    assert chat.asked.tool_choice.mode == mode


def test_chat_whole(chat: Bench) -> None:
    chat.engine.deltas = CALLING
    answer = invoke(chat, messages=[user("Hi")], tools=[TOOL])
    (choice,) = answer["choices"]
    assert choice["index"] == 0
    assert choice["stop_reason"] == choice["finish_reason"] == "tool_calls"
    (call,) = choice["message"]["tool_calls"]
    assert (choice["message"]["role"], choice["message"]["content"]) == ("assistant", "So")
    assert call["function"] == {"name": "f", "arguments": '{"a":1}'}
    assert call["id"]
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (10, 3)


def test_content_is_text_even_where_there_is_none(chat: Bench) -> None:
    chat.engine.deltas = CALLING[1:]
    assert invoke(chat, messages=[user("Hi")], tools=[TOOL])["choices"][0]["message"]["content"] == ""


def test_chat_streamed_for_old_clients_and_new(chat: Bench) -> None:
    chat.engine.deltas = CALLING
    choices = [chunk["choices"][0] for chunk in stream(chat, messages=[user("Hi")], tools=[TOOL])]
    assert all(choice["message"] == choice["delta"] for choice in choices)
    assert [choice["stop_reason"] for choice in choices] == [None] * (len(choices) - 1) + ["tool_calls"]
    assert "".join(choice["message"].get("content", "") for choice in choices) == "So"
    calls = [call["function"] for choice in choices for call in choice["delta"].get("tool_calls", ())]
    assert "".join(call["arguments"] for call in calls) == '{"a":1}'


def test_tools_that_the_model_cannot_use(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, "mistral-chat", tools=False)
    assert refused(bench, messages=[user("Hi")], tools=[TOOL]) == "This model doesn't support tool use."


def test_a_call_that_cannot_be_read(chat: Bench) -> None:
    chat.engine.deltas = [ToolCallStart(0, "0", "f"), ToolCallDelta(0, "{"), Finish("tool_calls", Usage(1, 1))]
    with pytest.raises(ModelErrorException):
        invoke(chat, messages=[user("Hi")], tools=[TOOL])


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"messages": "x"}, malformed("#/messages: expected type: JSONArray, found: String")),
        ({"messages": [user("Hi")], "n": 2}, malformed("#: extraneous key [n] is not permitted")),
        ({"messages": []}, "messages: There must be a message of the user or the assistant."),
        ({"messages": [user("Hi")], "max_tokens": 5000},
         "max_tokens is too large: 5000. This model supports at most 4096 completion tokens."),
        ({"messages": [user("Hi")], "tool_choice": "any"}, "tool_choice: 'required' needs tools."),
        ({}, malformed("#: required key [messages] not found")),
    ],
)  # fmt: skip
def test_refusals_of_chat(chat: Bench, body: dict[str, Any], problem: str) -> None:
    assert refused(chat, **body) == problem


def test_either_body_is_taken_under_either_name(text: Bench, chat: Bench) -> None:
    """Clients send prompts to Mistral Large 2407, and messages to 2402."""
    assert invoke(chat, prompt="a")["outputs"][0]["text"] == "Hello"
    assert stream(chat, prompt="a")[0]["outputs"][0]["text"] == "Hello"
    assert invoke(text, messages=[user("Hi")])["choices"][0]["message"]["content"] == "Hello"
    assert stream(text, messages=[user("Hi")])[1]["choices"][0]["message"]["content"] == "Hello"
