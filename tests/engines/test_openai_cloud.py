"""The OpenAI-compatible engine where the server is OpenAI, or copies it closely."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from outcrop.engines.engine import (
    ChatRequest,
    EngineError,
    InvalidRequest,
    Message,
    Reasoning,
    Sampling,
    Text,
    ToolCallDelta,
    ToolCallStart,
    Unsupported,
    Upstream,
)
from outcrop.engines.openai.chunks import Chunks
from outcrop.engines.openai.cloud import is_cloud
from outcrop.engines.openai.engine import OpenAi
from outcrop.settings import ModelSpec
from tests.conformance.loopback import answering
from tests.engines.test_openai import END, HELLO, Server, ask, call


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    with answering(server) as server.url:
        yield server


@pytest.mark.parametrize(
    ("url", "cloud"),
    [
        ("https://api.openai.com/v1", True), ("https://eu.api.openai.com/v1", True),
        ("https://mine.openai.azure.com/openai/v1", True),
        ("https://generativelanguage.googleapis.com/v1beta/openai", True),
        ("http://127.0.0.1:8000/v1", False), ("https://api.openai.com.evil.example/v1", False), ("http://openai/v1", False),
    ],
)  # fmt: skip
def test_whose_servers_are_clouds(url: str, cloud: bool) -> None:
    assert is_cloud(url) is cloud


def test_a_key_alone_means_openai(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THEIR_KEY", "sk-1")
    engine = OpenAi(ModelSpec(id="gpt", engine="openai", api_key_env="THEIR_KEY"))
    assert engine._http.base == "https://api.openai.com/v1"
    assert not engine.able.count_tokens
    with pytest.raises(EngineError, match="needs a url"):
        OpenAi(ModelSpec(id="gpt", engine="openai"))


def test_openais_own_parameters_only(server: Server) -> None:
    server.streams(END)
    request = ChatRequest(
        (*HELLO.messages, Message("assistant", (Reasoning("hm"), Text("Yes"))), *HELLO.messages),
        sampling=Sampling(max_tokens=5, temperature=0.5),
    )
    ask(server, request, cloud=True)
    assert server.body["max_completion_tokens"] == 5
    assert "max_tokens" not in server.body
    assert server.body["messages"][1] == {"role": "assistant", "content": "Yes"}
    ask(server, request)
    assert server.body["max_tokens"] == 5
    assert server.body["messages"][1]["reasoning_content"] == "hm"


def test_a_prefill_is_refused_rather_than_answered(server: Server) -> None:
    with pytest.raises(Unsupported, match="prefill"):
        ask(server, ChatRequest((*HELLO.messages, Message("assistant", (Text("Well,"),)))), cloud=True)
    assert not server.seen


def test_a_cloud_is_not_asked_to_count(server: Server) -> None:
    with pytest.raises(Unsupported, match="counting tokens"):
        call(server, lambda engine: engine.count_tokens(HELLO), cloud=True)
    assert not server.seen


@pytest.mark.parametrize(("status", "expected"), [(401, Upstream), (403, Upstream), (400, InvalidRequest)])
def test_a_key_is_never_told(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    expected: type[EngineError],
) -> None:
    monkeypatch.setenv("THEIR_KEY", "sk-secret")
    server.says(status, {"error": {"message": "Incorrect API key provided: sk-secret"}})
    with pytest.raises(expected) as caught:
        ask(server, api_key_env="THEIR_KEY")
    assert "secret" not in str(caught.value) + getattr(caught.value, "detail", "")
    server.streams({"choices": [{"delta": {"content": "Hi"}}]}, {"error": {"message": "sk-secret"}})
    with pytest.raises(EngineError) as caught_within:
        ask(server, api_key_env="THEIR_KEY")
    assert "secret" not in str(caught_within.value)


def test_a_proxy_is_not_asked_for_what_is_here(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.streams(END)
    assert ask(server)


def test_what_the_settings_say_of_schemas(server: Server) -> None:
    with pytest.raises(Unsupported, match="structured output"):
        ask(server, ChatRequest(HELLO.messages, json_schema={"type": "object"}), json_schema=False)


def calls(*deltas: dict[str, Any]) -> list[Any]:
    reader = Chunks(tools=["f", "g"])
    read = reader.read([{"choices": [{"delta": {"tool_calls": [delta]}}]} for delta in deltas])
    reader.read([{"choices": [{"delta": {}, "finish_reason": "stop"}]}])
    assert reader.finish()[-1].reason == "tool_calls"  # type: ignore[union-attr]  # the last is a Finish
    return read


@pytest.mark.parametrize("index", [{}, {"index": 0}, {"index": None}])
def test_geminis_calls_that_share_one_index(index: dict[str, Any]) -> None:
    f = {"id": "a", "function": {"name": "f", "arguments": '{"x":1}'}, **index}
    g = {"id": "b", "function": {"name": "g", "arguments": "{}"}, **index}
    assert calls(f, g) == [
        ToolCallStart(0, "a", "f"), ToolCallDelta(0, '{"x":1}'), ToolCallStart(1, "b", "g"), ToolCallDelta(1, "{}"),
    ]  # fmt: skip


def test_an_id_that_is_repeated_is_no_new_call() -> None:
    first = {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x"'}}
    more = [
        {"index": 0, "id": "a", "function": {"arguments": ":"}},
        {"index": 0, "id": "", "function": {"arguments": "1}"}},
    ]
    assert calls(first, *more) == [ToolCallStart(0, "a", "f"), ToolCallDelta(0, '{"x":1}')]
