"""The Anthropic engine: what is sent, what its streaming events mean, and its errors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from outcrop.engines.engine import (
    CachePoint,
    ChatRequest,
    CompletionRequest,
    ContextOverflow,
    Delta,
    EngineBusy,
    EngineError,
    EngineFailed,
    EngineTimeout,
    Finish,
    Image,
    InvalidRequest,
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
from outcrop.engines.engine import Upstream as UpstreamError
from outcrop.engines.upstream.anthropic import Anthropic
from outcrop.settings import ModelSpec
from tests.engines.upstream.server import HELLO, Upstream, collected, used

WEATHER = Tool("get_weather", "Get the weather", {"type": "object"})
KEY = "sk-ant-secret"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THEIR_KEY", KEY)


def spec(upstream: Upstream, **changes: Any) -> ModelSpec:
    return ModelSpec(
        **{
            "id": "ours", "engine": "anthropic", "url": upstream.url, "model": "claude-x", "api_key_env": "THEIR_KEY",
            **changes,
        }
    )  # fmt: skip


def ask(upstream: Upstream, request: ChatRequest = HELLO, **changes: Any) -> list[Delta]:
    return used(Anthropic(spec(upstream, **changes)), lambda engine: collected(engine.chat(request)))


def streams(upstream: Upstream, *events: dict[str, Any]) -> None:
    lines = [b"event: %s\ndata: %s\n\n" % (event["type"].encode(), orjson.dumps(event)) for event in events]
    upstream.says(200, b"".join(lines))


def started(**usage: int) -> dict[str, Any]:
    return {"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 3, "output_tokens": 1, **usage}}}


def block(index: int, kind: str, **more: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind, **more}}


def delta(index: int, kind: str, **more: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **more}}


def ended(reason: str | None = "end_turn", stop: str | None = None, **usage: int) -> dict[str, Any]:
    change = {"stop_reason": reason, "stop_sequence": stop}
    return {"type": "message_delta", "delta": change, "usage": {"output_tokens": 7, **usage}}


END = {"type": "message_stop"}


def test_a_chat_and_what_is_sent(upstream: Upstream) -> None:
    streams(upstream, started(), block(0, "text", text=""), delta(0, "text_delta", text="Hi"), ended(), END)
    request = ChatRequest(
        (
            Message("system", (Text("Be brief."),)),
            Message("user", (Text("See"), Image("png", b"\x89PNG"))),
            Message(
                "assistant",
                (
                    Reasoning("hm", "sig"),
                    Reasoning("unsigned"),
                    Text("I look."),
                    ToolCall("c1", "get_weather", {"a": 1}),
                ),
            ),
            Message(
                "user", (ToolResult("c1", (Text("rain"), Image("gif", b"GIF")), error=True), Text("and?"), Text(" "))
            ),
        ),
        tools=(WEATHER, Tool("f", "", {"type": "object"}, strict=True)),
        tool_choice=ToolChoice("tool", "get_weather"),
        json_schema={"type": "object"},
        sampling=Sampling(max_tokens=5000, temperature=0.5, top_p=0.9, top_k=4, stop=("END",)),
        thinking=Thinking(2000),
    )
    assert ask(upstream, request, images=True) == [TextDelta("Hi"), Finish("stop", Usage(3, 7))]
    seen = upstream.seen[-1]
    assert (seen.raw_path, seen.header("x-api-key"), seen.header("anthropic-version")) == (
        "/v1/messages",
        KEY,
        "2023-06-01",
    )
    assert upstream.body == {
        "model": "claude-x",
        "stream": True,
        "system": [{"type": "text", "text": "Be brief."}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "See"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}},
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "sig"},
                    {"type": "text", "text": "I look."},
                    {"type": "tool_use", "id": "c1", "name": "get_weather", "input": {"a": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "c1",
                        "content": [
                            {"type": "text", "text": "rain"},
                            {"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": "R0lG"}},
                        ],
                        "is_error": True,
                    },
                    {"type": "text", "text": "and?"},
                ],
            },
        ],
        "tools": [
            {"name": "get_weather", "description": "Get the weather", "input_schema": {"type": "object"}},
            {"name": "f", "input_schema": {"type": "object"}, "strict": True},
        ],
        "tool_choice": {"type": "tool", "name": "get_weather"},
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "max_tokens": 5000,
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 4,
        "stop_sequences": ["END"],
        "output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}},
    }


def test_cache_points_mark_what_is_before_them(upstream: Upstream) -> None:
    streams(upstream, started(), ended(), END)
    turns = (
        Message("system", (Text("a"), CachePoint("1h"), Text("b"))),
        Message("user", (Text(" "), CachePoint(), Text("c"), CachePoint())),
        Message("assistant", (Reasoning("hm", "sig"), CachePoint(), Text("d"))),
    )
    ask(upstream, ChatRequest(turns, tools=(replace(WEATHER, cache=CachePoint()),)))
    mark = {"cache_control": {"type": "ephemeral"}}
    long = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    assert upstream.body["system"] == [{"type": "text", "text": "a", **long}, {"type": "text", "text": "b"}]
    assert upstream.body["messages"][0]["content"] == [{"type": "text", "text": "c", **mark}]
    assert upstream.body["messages"][1]["content"][0] == {"type": "thinking", "thinking": "hm", "signature": "sig"}
    assert upstream.body["tools"][0]["cache_control"] == mark["cache_control"]


@pytest.mark.parametrize(("most", "sent"), [(None, 8192), (300, 300)])
def test_a_limit_is_sent_where_nobody_set_one(upstream: Upstream, most: int | None, sent: int) -> None:
    streams(upstream, started(), ended(), END)
    ask(upstream, max_output_tokens=most)
    assert upstream.body["max_tokens"] == sent
    ask(upstream, ChatRequest(HELLO.messages, thinking=Thinking()), max_output_tokens=most)
    assert upstream.body["thinking"] == {"type": "adaptive"}


def test_tools_that_may_not_be_called(upstream: Upstream) -> None:
    streams(upstream, started(), ended(), END)
    ask(upstream, ChatRequest(HELLO.messages, tools=(WEATHER,), tool_choice=ToolChoice("none")))
    assert upstream.body["tool_choice"] == {"type": "none"}


def test_all_that_a_stream_may_hold(upstream: Upstream) -> None:
    streams(
        upstream,
        started(cache_read_input_tokens=100, cache_creation_input_tokens=20), {"type": "ping"},
        block(0, "thinking", thinking="", signature=""), delta(0, "thinking_delta", thinking="hm"),
        delta(0, "signature_delta", signature="sig"), {"type": "content_block_stop", "index": 0},
        block(1, "redacted_thinking", data="x"), {"type": "content_block_stop", "index": 1},
        block(2, "text", text="Se"), delta(2, "text_delta", text="e"), delta(2, "citations_delta", citation="x"),
        block(3, "tool_use", id="a", name="f", input={}), delta(3, "input_json_delta", partial_json=""),
        delta(3, "input_json_delta", partial_json='{"x"'), delta(3, "input_json_delta", partial_json=":1}"),
        block(4, "tool_use", id="b", name="g", input={}),
        ended("tool_use"), END, {"type": "something_new"},
    )  # fmt: skip
    expected: list[Delta] = [
        ReasoningDelta("hm"), ReasoningSignature("sig"), TextDelta("Se"), TextDelta("e"), ToolCallStart(0, "a", "f"),
        ToolCallDelta(0, '{"x"'), ToolCallDelta(0, ":1}"), ToolCallStart(1, "b", "g"),
        Finish("tool_calls", Usage(123, 7, 100, 20)),
    ]  # fmt: skip
    assert ask(upstream) == expected


@pytest.mark.parametrize(
    ("theirs", "stop", "ours"),
    [
        ("end_turn", None, "stop"), ("max_tokens", None, "length"), ("stop_sequence", "END", "stop_sequence"),
        ("refusal", None, "content_filter"), ("model_context_window_exceeded", None, "context"),
    ],
)  # fmt: skip
def test_why_it_ended(upstream: Upstream, theirs: str, stop: str | None, ours: Any) -> None:
    last = ended(theirs, stop, input_tokens=4)
    last["usage"]["cache_read_input_tokens"] = None
    streams(upstream, started(cache_read_input_tokens=2), last, END)
    assert ask(upstream) == [Finish(ours, Usage(6, 7, 2), stop)]


@pytest.mark.parametrize("events", [[started()], [started(), ended(None), END], [started(), ended("pause_turn"), END]])
def test_streams_that_do_not_end(upstream: Upstream, events: list[dict[str, Any]]) -> None:
    streams(upstream, *events)
    with pytest.raises(EngineFailed):
        ask(upstream)


CASES: list[tuple[int, str, str, type[EngineError], str | None]] = [
    (400, "invalid_request_error", "max_tokens: bad", InvalidRequest, None),
    (400, "invalid_request_error", "prompt is too long: 9 tokens > 8 maximum", ContextOverflow, None),
    (401, "authentication_error", f"invalid x-api-key: {KEY}", UpstreamError, "denied"),
    (402, "billing_error", "Your credit balance is too low", UpstreamError, "denied"),
    (403, "permission_error", "no", UpstreamError, "denied"),
    (404, "not_found_error", "model: claude-x", UpstreamError, "missing"),
    (413, "request_too_large", "too large", InvalidRequest, None),
    (429, "rate_limit_error", "slow down", EngineBusy, None),
    (500, "api_error", "oops", UpstreamError, "internal"),
    (504, "timeout_error", "late", EngineTimeout, None),
    (529, "overloaded_error", "Overloaded", UpstreamError, "unavailable"),
]


@pytest.mark.parametrize(("status", "kind", "message", "expected", "upstream_kind"), CASES, ids=[c[1] for c in CASES])
def test_errors_before_and_within_the_answer(
    upstream: Upstream, status: int, kind: str, message: str, expected: type[EngineError], upstream_kind: str | None
) -> None:
    error = {"type": "error", "error": {"type": kind, "message": message}}
    upstream.says(status, error, retry_after="7")
    with pytest.raises(expected) as before:
        ask(upstream)
    streams(upstream, started(), delta(0, "text_delta", text="Hi"), error)
    with pytest.raises(expected) as within:
        ask(upstream)
    for caught in (before.value, within.value):
        assert getattr(caught, "kind", None) == upstream_kind
        assert KEY not in str(caught) + getattr(caught, "detail", "")
    if isinstance(before.value, EngineBusy):
        assert before.value.retry_after == 7


def test_what_a_proxy_says(upstream: Upstream) -> None:
    upstream.says(502, b"<html>")
    with pytest.raises(UpstreamError, match="The upstream answered 502"):
        ask(upstream)


@pytest.mark.parametrize("name", ["seed", "frequency_penalty", "presence_penalty"])
def test_sampling_that_it_does_not_have_is_refused(upstream: Upstream, name: str) -> None:
    with pytest.raises(Unsupported, match=name):
        ask(upstream, ChatRequest(HELLO.messages, sampling=Sampling(**{name: 1})))  # type: ignore[arg-type]  # by name
    assert not upstream.seen


@pytest.mark.parametrize(
    ("changes", "request_", "words"),
    [
        ({"tools": False}, ChatRequest(HELLO.messages, (WEATHER,)), "tool use"),
        ({"json_schema": False}, ChatRequest(HELLO.messages, json_schema={"type": "object"}), "structured output"),
        ({}, ChatRequest((Message("user", (Image("png", b""),)),)), "images"),
    ],
)
def test_what_the_settings_say_it_cannot_do(
    upstream: Upstream, changes: dict[str, Any], request_: ChatRequest, words: str
) -> None:
    with pytest.raises(Unsupported, match=words):
        ask(upstream, request_, **changes)
    assert not upstream.seen


def test_counting(upstream: Upstream) -> None:
    upstream.says(200, {"input_tokens": 12})
    assert used(Anthropic(spec(upstream)), lambda engine: engine.count_tokens(HELLO)) == 12
    assert upstream.seen[-1].raw_path == "/v1/messages/count_tokens"
    assert upstream.body == {
        "model": "claude-x",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}],
    }
    upstream.says(200, {})
    with pytest.raises(EngineFailed, match="no number"):
        used(Anthropic(spec(upstream)), lambda engine: engine.count_tokens(HELLO))
    with pytest.raises(Unsupported):
        used(Anthropic(spec(upstream)), lambda engine: engine.count_tokens(CompletionRequest("a")))


def test_anthropics_own_address_needs_a_key(upstream: Upstream) -> None:
    assert Anthropic(spec(upstream, url=None))._http.base == "https://api.anthropic.com"
    with pytest.raises(EngineError, match="needs an api_key_env"):
        Anthropic(spec(upstream, url=None, api_key_env=None))
