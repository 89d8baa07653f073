"""Chats with an upstream Bedrock: what is sent, and what its answers mean."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from outcrop.engines.engine import (
    CachePoint,
    ChatRequest,
    Delta,
    EngineError,
    EngineFailed,
    EngineTimeout,
    Finish,
    Image,
    Message,
    Reasoning,
    ReasoningDelta,
    ReasoningSignature,
    Sampling,
    Text,
    TextDelta,
    Thinking,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCallStart,
    ToolChoice,
    ToolResult,
    Unsupported,
    Usage,
)
from outcrop.engines.upstream.bedrock import Bedrock
from tests.engines.upstream.server import HELLO, Upstream, ask, event, metadata, spec, stop, text, used

OWN_PROFILE = "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc"
WEATHER = Tool("get_weather", "Get the weather", {"type": "object", "properties": {"city": {"type": "string"}}})
LOOP = (
    Message("system", (Text("Be brief."),)),
    Message("user", (Text("See"), Image("png", b"\x89PNG"))),
    Message(
        "assistant",
        (
            Reasoning("hm", "sig"),
            Reasoning("unsigned"),
            Text("I look."),
            ToolCall("c1", "get_weather", {"city": "Oslo"}),
        ),
    ),
    Message("user", (ToolResult("c1", (Text("rain"), Image("gif", b"GIF")), error=True), Text("and?"), Text(" "))),
)


def test_a_chat_and_what_is_sent(upstream: Upstream) -> None:
    upstream.streams(
        event("messageStart", {"role": "assistant"}), text("Hi"), stop(), metadata(inputTokens=3, outputTokens=1)
    )
    request = ChatRequest(
        LOOP,
        tools=(WEATHER, Tool("f", "", {"type": "object"}, strict=True)),
        tool_choice=ToolChoice("tool", "get_weather"),
        json_schema={"type": "object"},
        sampling=Sampling(max_tokens=5, temperature=0.5, top_p=0.9, top_k=4, seed=7, stop=("END",)),
        thinking=Thinking(2000),
    )
    assert ask(upstream, request, images=True) == [TextDelta("Hi"), Finish("stop", Usage(3, 1))]
    assert upstream.seen[-1].raw_path == "/model/anthropic.claude-x-v1%3A0/converse-stream"
    assert upstream.body == {
        "system": [{"text": "Be brief."}],
        "messages": [
            {"role": "user", "content": [{"text": "See"}, {"image": {"format": "png", "source": {"bytes": "iVBORw=="}}}]},
            {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
                    {"text": "I look."},
                    {"toolUse": {"toolUseId": "c1", "name": "get_weather", "input": {"city": "Oslo"}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "toolResult": {
                            "toolUseId": "c1",
                            "content": [{"text": "rain"}, {"image": {"format": "gif", "source": {"bytes": "R0lG"}}}],
                            "status": "error",
                        }
                    },
                    {"text": "and?"},
                ],
            },
        ],
        "toolConfig": {
            "tools": [
                {
                    "toolSpec": {
                        "name": "get_weather",
                        "description": "Get the weather",
                        "inputSchema": {"json": {"type": "object", "properties": {"city": {"type": "string"}}}},
                    }
                },
                {"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}, "strict": True}},
            ],
            "toolChoice": {"tool": {"name": "get_weather"}},
        },
        "inferenceConfig": {"maxTokens": 5, "temperature": 0.5, "topP": 0.9, "stopSequences": ["END"]},
        "additionalModelRequestFields": {
            "top_k": 4, "seed": 7, "thinking": {"type": "enabled", "budget_tokens": 2000},
        },
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
        "outputConfig": {
            "textFormat": {
                "type": "json_schema", "structure": {"jsonSchema": {"schema": '{"type":"object"}', "name": "answer"}},
            }
        },
    }  # fmt: skip


def test_tools_that_may_not_be_called_are_not_shown_and_their_calls_are_told(upstream: Upstream) -> None:
    """Converse demands tools wherever the conversation has calls, and has no choice that forbids them."""
    upstream.streams(text("Hi"), stop())
    ask(upstream, ChatRequest(LOOP, tools=(WEATHER,), tool_choice=ToolChoice("none")), images=True)
    assert "toolConfig" not in upstream.body
    said = upstream.body["messages"]
    assert said[1]["content"][-1] == {"text": '[Called get_weather with {"city":"Oslo"}]'}
    assert said[2]["content"][:2] == [{"text": "[It failed:]"}, {"text": "rain"}]


def test_turns_that_nothing_is_left_of_do_not_break_the_order(upstream: Upstream) -> None:
    upstream.streams(text("Hi"), stop())
    turns = (
        Message("user", (Text("a"),)), Message("assistant", (Reasoning("unsigned"),)), Message("user", (Text("b"),)),
    )  # fmt: skip
    ask(upstream, ChatRequest(turns))
    assert upstream.body["messages"] == [{"role": "user", "content": [{"text": "a"}, {"text": "b"}]}]


def test_cache_points_stay_where_they_are(upstream: Upstream) -> None:
    upstream.streams(text("Hi"), stop())
    turns = (
        Message("system", (Text("a"), CachePoint("1h"), Text("b"))),
        Message("user", (Text(" "), CachePoint(), Text("c"), CachePoint())),
    )
    ask(upstream, ChatRequest(turns, tools=(replace(WEATHER, cache=CachePoint()),)))
    point = {"cachePoint": {"type": "default"}}
    assert upstream.body["system"] == [{"text": "a"}, {"cachePoint": {"type": "default", "ttl": "1h"}}, {"text": "b"}]
    assert upstream.body["messages"] == [{"role": "user", "content": [{"text": "c"}, point]}], "none comes first"
    assert upstream.body["toolConfig"]["tools"][1] == point


def test_nova_has_its_own_word_for_top_k(upstream: Upstream) -> None:
    upstream.streams(text("Hi"), stop())
    ask(upstream, ChatRequest(HELLO.messages, sampling=Sampling(top_k=9)), model="us.amazon.nova-lite-v1:0")
    assert upstream.body["additionalModelRequestFields"] == {"inferenceConfig": {"topK": 9}}


def reasoning(**delta: str) -> bytes:
    return event("contentBlockDelta", {"delta": {"reasoningContent": delta}, "contentBlockIndex": 0})


def test_all_that_a_stream_may_hold(upstream: Upstream) -> None:
    upstream.streams(
        event("messageStart", {"role": "assistant"}),
        reasoning(text="h"), reasoning(text="m"), reasoning(signature="sig"), reasoning(redactedContent="eA=="),
        event("contentBlockStop", {"contentBlockIndex": 0}),
        text("", 1), text("See", 1),
        event("contentBlockDelta", {"delta": {"citation": {"title": "x"}}, "contentBlockIndex": 1}),
        event("contentBlockStart", {"start": {"toolUse": {"toolUseId": "a", "name": "f"}}, "contentBlockIndex": 2}),
        event("contentBlockDelta", {"delta": {"toolUse": {"input": '{"x"'}}, "contentBlockIndex": 2}),
        event("contentBlockDelta", {"delta": {"toolUse": {"input": ":1}"}}, "contentBlockIndex": 2}),
        event("contentBlockStart", {"start": {"toolUse": {"toolUseId": "b", "name": "g"}}, "contentBlockIndex": 3}),
        event("contentBlockDelta", {"delta": {"toolUse": {"input": ""}}, "contentBlockIndex": 3}),
        stop("tool_use"),
        metadata(inputTokens=3, outputTokens=7, cacheReadInputTokens=100, cacheWriteInputTokens=20),
        event("somethingNew", {"x": 1}),
    )  # fmt: skip
    expected: list[Delta] = [
        ReasoningDelta("h"), ReasoningDelta("m"), ReasoningSignature("sig"), TextDelta("See"),
        ToolCallStart(0, "a", "f"), ToolCallDelta(0, '{"x"'), ToolCallDelta(0, ":1}"), ToolCallStart(1, "b", "g"),
        Finish("tool_calls", Usage(123, 7, 100, 20)),
    ]  # fmt: skip
    assert ask(upstream) == expected


def test_a_whole_answer_is_the_same(upstream: Upstream) -> None:
    content: list[Any] = [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}},
        {"reasoningContent": {"redactedContent": "eA=="}},
        {"text": "See"},
        {"toolUse": {"toolUseId": "a", "name": "f", "input": {"x": 1}}},
    ]
    upstream.says(200, {
        "output": {"message": {"role": "assistant", "content": content}}, "stopReason": "tool_use",
        "usage": {"inputTokens": 3, "outputTokens": 7},
    })  # fmt: skip
    assert ask(upstream, streaming=False) == [
        ReasoningDelta("hm"), ReasoningSignature("sig"), TextDelta("See"), ToolCallStart(0, "a", "f"),
        ToolCallDelta(0, '{"x":1}'), Finish("tool_calls", Usage(3, 7)),
    ]  # fmt: skip
    assert upstream.seen[-1].raw_path.endswith("/converse")
    upstream.says(200, {"output": {}})
    with pytest.raises(EngineFailed, match="no message"):
        ask(upstream, streaming=False)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("end_turn", "stop"), ("max_tokens", "length"), ("content_filtered", "content_filter"),
        ("guardrail_intervened", "content_filter"), ("malformed_tool_use", "malformed_tool_call"),
        ("model_context_window_exceeded", "context"),
    ],
)  # fmt: skip
def test_why_it_ended(upstream: Upstream, theirs: str, ours: str) -> None:
    upstream.streams(text("Hi"), stop(theirs))
    assert ask(upstream)[-1] == Finish(ours, Usage(0, 0))  # type: ignore[arg-type]  # one of its literals


def test_the_stop_sequence_where_the_model_tells_it(upstream: Upstream) -> None:
    upstream.streams(text("Hi"), stop("stop_sequence", additionalModelResponseFields={"stop_sequence": "END"}))
    assert ask(upstream)[-1] == Finish("stop_sequence", Usage(0, 0), "END")
    upstream.streams(text("Hi"), stop("stop_sequence"))
    assert ask(upstream)[-1] == Finish("stop_sequence", Usage(0, 0))


@pytest.mark.parametrize(
    ("frames", "words"),
    [
        ([text("Hi")], "broke off"),
        ([text("Hi"), stop("malformed_model_output")], "malformed_model_output"),
        ([text("Hi"), text("x")[:-3]], "broke off"),
        ([text("Hi"), stop()[:-1] + b"!"], "damaged event stream"),
        ([b"<html>not a stream at all</html>"], "damaged event stream"),
    ],
    ids=["no end", "no word for it", "half a frame", "checksum", "html"],
)
def test_streams_that_are_none(upstream: Upstream, frames: list[bytes], words: str) -> None:
    upstream.streams(*frames)
    with pytest.raises(EngineFailed, match=words):
        ask(upstream)


def test_nobody_listens_and_nobody_speaks(upstream: Upstream) -> None:
    with pytest.raises(EngineFailed, match="cannot be reached"):
        ask(upstream, url="http://127.0.0.1:9")
    upstream.answer = _sleepy
    with pytest.raises(EngineTimeout, match="silent for too long"):
        ask(upstream, silence_seconds=0.1)


def _sleepy(request: object) -> Any:
    import time

    time.sleep(0.5)
    return 200, [], b""


def test_counting(upstream: Upstream) -> None:
    upstream.says(200, {"inputTokens": 12})
    counted = used(Bedrock(spec(upstream)), lambda engine: engine.count_tokens(ChatRequest(HELLO.messages, (WEATHER,))))
    assert counted == 12
    assert upstream.seen[-1].raw_path.endswith("/count-tokens")
    given = upstream.body["input"]["converse"]
    assert given["messages"] == [{"role": "user", "content": [{"text": "Hello"}]}]
    assert given["toolConfig"]["tools"][0]["toolSpec"]["name"] == "get_weather"


def test_counting_where_it_cannot(upstream: Upstream) -> None:
    words = "The provided model doesn't support counting tokens."
    upstream.says(400, {"message": words}, x_amzn_errortype="ValidationException")
    engine = Bedrock(spec(upstream))
    assert engine.able.count_tokens
    with pytest.raises(Unsupported, match="counting tokens"):
        used(engine, lambda engine: engine.count_tokens(HELLO))
    assert not engine.able.count_tokens


@pytest.mark.parametrize(
    ("model", "counted"),
    [
        ("us.anthropic.x-v1:0", "anthropic.x-v1%3A0"),
        ("arn:aws:bedrock:us-east-1:1:inference-profile/global.anthropic.x", "anthropic.x"),
        (OWN_PROFILE, quote(OWN_PROFILE, safe="")),
        ("usual.model", "usual.model"),
    ],
)
def test_counting_is_by_the_model_of_a_profile(upstream: Upstream, model: str, counted: str) -> None:
    upstream.says(200, {"inputTokens": 12})
    used(Bedrock(spec(upstream, model=model)), lambda engine: engine.count_tokens(HELLO))
    assert upstream.seen[-1].raw_path == f"/model/{counted}/count-tokens"


def test_a_proxy_is_not_asked_for_what_is_here(upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    upstream.streams(text("Hi"), stop())
    assert ask(upstream)[0] == TextDelta("Hi")
    with pytest.raises(EngineFailed, match="cannot be reached"):
        ask(upstream, url="http://upstream.invalid")


@pytest.mark.parametrize(
    ("changes", "request_", "words"),
    [
        ({"tools": False}, ChatRequest(HELLO.messages, (WEATHER,)), "tool use"),
        ({"json_schema": False}, ChatRequest(HELLO.messages, json_schema={"type": "object"}), "structured output"),
        ({}, ChatRequest((Message("user", (Image("png", b""),)),)), "images"),
        ({"embeddings": True, "model": "amazon.titan-embed-text-v2:0"}, HELLO, "chat"),
    ],
)
def test_what_the_settings_say_it_cannot_do(
    upstream: Upstream, changes: dict[str, Any], request_: ChatRequest, words: str
) -> None:
    with pytest.raises(Unsupported, match=re.escape(words)):
        ask(upstream, request_, **changes)
    assert not upstream.seen


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"region": None}, "needs a region"),
        ({"url": None, "region": "mars-1"}, "is no region of AWS"),
        ({"profile": "nobody"}, "nobody"),
        ({"api_key_env": "NO_SUCH_KEY"}, "NO_SUCH_KEY"),
        ({"embeddings": True}, "vectors come from Titan and Cohere"),
    ],
)
def test_settings_that_cannot_be(upstream: Upstream, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(EngineError, match=words):
        Bedrock(spec(upstream, **changes))
