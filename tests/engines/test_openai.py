"""The OpenAI-compatible engine against a loopback server that answers what a test laid ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import orjson
import pytest

from outcrop.engines.engine import (
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
    Sampling,
    Text,
    TextDelta,
    Tool,
    ToolCall,
    ToolCallDelta,
    ToolCallStart,
    ToolChoice,
    ToolResult,
    Unsupported,
    Usage,
)
from outcrop.engines.openai.engine import OpenAi
from outcrop.request import HttpRequest
from outcrop.settings import ModelSpec
from tests.conformance.loopback import Answer, answering

HELLO = ChatRequest((Message("user", (Text("Hello"),)),))
WEATHER = Tool("get_weather", "Get the weather", {"type": "object", "properties": {"city": {"type": "string"}}})


class Server:
    """Answers everything with `answer`; remembers what came."""

    def __init__(self) -> None:
        self.seen: list[HttpRequest] = []
        self.answer: Callable[[HttpRequest], Answer] = lambda request: (200, [], b"{}")
        self.url = ""

    def __call__(self, request: HttpRequest) -> Answer:
        self.seen.append(request)
        return self.answer(request)

    def says(self, status: int, body: object, **headers: str) -> None:
        data = body if isinstance(body, bytes) else orjson.dumps(body)
        self.answer = lambda request: (status, list(headers.items()), data)

    def streams(self, *chunks: object) -> None:
        lines = [b"data: " + (c if isinstance(c, bytes) else orjson.dumps(c)) for c in chunks]
        self.says(200, b"\n\n".join([*lines, b"data: [DONE]", b""]))

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = orjson.loads(self.seen[-1].body)
        return body


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    with answering(server) as server.url:
        yield server


def spec(server: Server, **changes: Any) -> ModelSpec:
    return ModelSpec(
        **{"id": "a.model-v1:0", "engine": "openai", "url": f"{server.url}/v1", "model": "theirs", **changes}
    )


def ask(server: Server, request: ChatRequest | CompletionRequest = HELLO, **changes: Any) -> list[Delta]:
    async def run() -> list[Delta]:
        engine = OpenAi(spec(server, **changes))
        try:
            answer: AsyncIterator[Delta] = (
                engine.chat(request) if isinstance(request, ChatRequest) else engine.complete(request)
            )
            return [delta async for delta in answer]
        finally:
            await engine.close()

    return asyncio.run(run())


def call(server: Server, verb: Callable[[OpenAi], Any], **changes: Any) -> Any:
    async def run() -> Any:
        engine = OpenAi(spec(server, **changes))
        try:
            return await verb(engine)
        finally:
            await engine.close()

    return asyncio.run(run())


END = {"choices": [{"delta": {}, "finish_reason": "stop"}]}


def called(name: str, arguments: str, call_id: str = "c1", index: int = 0) -> dict[str, Any]:
    call = {"index": index, "id": call_id, "function": {"name": name, "arguments": arguments}}
    return {"choices": [{"delta": {"tool_calls": [call]}}]}


def test_a_chat_and_what_is_sent(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THEIR_KEY", "sk-123")
    server.streams(
        {"choices": [{"delta": {"content": "Hi"}}]},
        called("get_weather", "{}"),
        END,
        {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}},
    )
    request = ChatRequest(
        (
            Message("system", (Text("Be brief."),)),
            Message("user", (Text("See"), Image("png", b"\x89PNG"))),
            Message("assistant", (Reasoning("hm"), Text("I look."), ToolCall("c1", "get_weather", {"city": "Oslo"}))),
            Message("user", (ToolResult("c1", (Text("rain"),), error=True), Text("and?"))),
        ),
        tools=(WEATHER,),
        tool_choice=ToolChoice("tool", "get_weather"),
        json_schema={"type": "object"},
        sampling=Sampling(max_tokens=5, temperature=0.5, top_p=0.9, top_k=4, seed=7, stop=("END",)),
    )
    assert ask(server, request, images=True, api_key_env="THEIR_KEY") == [
        TextDelta("Hi"),
        ToolCallStart(0, "c1", "get_weather"),
        ToolCallDelta(0, "{}"),
        Finish("tool_calls", Usage(3, 1)),
    ]
    assert server.seen[-1].header("authorization") == "Bearer sk-123"
    assert server.seen[-1].raw_path == "/v1/chat/completions"
    body = server.body
    assert body["model"] == "theirs"
    assert body["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "See"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
            ],
        },
        {
            "role": "assistant",
            "content": "I look.",
            "reasoning_content": "hm",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Oslo"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "Error: rain"},
        {"role": "user", "content": "and?"},
    ]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "get_weather"}}
    assert body["response_format"]["json_schema"]["schema"] == {"type": "object"}
    sampling = {"max_tokens": 5, "temperature": 0.5, "top_p": 0.9, "top_k": 4, "seed": 7, "stop": ["END"]}
    assert {name: body[name] for name in sampling} == sampling


def test_a_missing_key_is_a_sentence(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THEIR_KEY", raising=False)
    with pytest.raises(EngineError, match="THEIR_KEY, which holds the key"):
        OpenAi(spec(server, api_key_env="THEIR_KEY"))


def test_no_tool_is_shown_where_none_may_be_called(server: Server) -> None:
    server.streams(END)
    ask(server, ChatRequest(HELLO.messages, tools=(WEATHER,), tool_choice=ToolChoice("none")))
    assert "tools" not in server.body


def test_a_prefill_is_continued(server: Server) -> None:
    server.streams(END)
    ask(server, ChatRequest((*HELLO.messages, Message("assistant", (Text("Well,"),)))))
    assert server.body["continue_final_message"] is True
    assert server.body["add_generation_prompt"] is False


@pytest.mark.parametrize(
    ("status", "body", "expected", "text"),
    [
        (400, {"error": {"message": "bad schema"}}, InvalidRequest, "bad schema"),
        (422, {"detail": "?"}, InvalidRequest, "detail"),
        (401, {"error": {"message": "wrong key"}}, EngineFailed, "refused its key"),
        (404, {"error": {"message": "no such model"}}, EngineFailed, "no such model"),
        (429, {"error": {"message": "slow down"}}, EngineBusy, "slow down"),
        (503, {"error": {"message": "loading"}}, EngineBusy, "loading"),
        (504, b"late", EngineTimeout, "late"),
        (500, b"<html>oops</html>", EngineFailed, "oops"),
        (400, {"error": {"type": "exceed_context_size_error", "n_prompt_tokens": 9, "n_ctx": 8, "message": "m"}}, ContextOverflow, "9"),
        (400, {"error": {"code": "context_length_exceeded", "message": "too long"}}, ContextOverflow, "None"),
        (
            400,
            {"message": "This model's maximum context length is 4096 tokens. However, your request has 5000 input tokens."},
            ContextOverflow,
            "5000 tokens, the context holds 4096",
        ),
    ],
)  # fmt: skip
def test_errors_before_the_answer(
    server: Server, status: int, body: object, expected: type[EngineError], text: str
) -> None:
    server.says(status, body)
    with pytest.raises(expected, match=text):
        ask(server)


def test_a_busy_server_says_when_to_come_again(server: Server) -> None:
    server.answer = lambda request: (429, [("retry-after", "7")], b"{}")
    with pytest.raises(EngineBusy) as caught:
        ask(server)
    assert caught.value.retry_after == 7


@pytest.mark.parametrize(
    "broken",
    [
        [{"choices": [{"delta": {"content": "Hi"}}]}],
        [{"choices": [{"delta": {"content": "Hi"}}]}, {"error": {"message": "out of memory", "code": 500}}],
        [{"choices": [{"delta": {"content": "Hi"}}]}, b"{not json"],
    ],
    ids=["no end", "error event", "garbage"],
)
def test_errors_within_the_answer(server: Server, broken: list[object]) -> None:
    server.streams(*broken)
    with pytest.raises(EngineFailed):
        ask(server)


def test_nobody_listens() -> None:
    nobody = Server()
    nobody.url = "http://127.0.0.1:9"
    with pytest.raises(EngineFailed, match="cannot be reached"):
        ask(nobody)


def test_a_completion(server: Server) -> None:
    server.streams({"choices": [{"text": "two"}]}, {"choices": [{"text": "", "finish_reason": "length"}]})
    assert ask(server, CompletionRequest("one"))[0] == TextDelta("two")
    assert server.seen[-1].raw_path == "/v1/completions"
    assert server.body["prompt"] == "one"


def test_counting_where_the_server_can(server: Server) -> None:
    server.says(200, {"count": 12, "max_model_len": 4096})
    assert call(server, lambda engine: engine.count_tokens(HELLO)) == 12
    assert server.seen[-1].raw_path == "/tokenize"
    assert server.body["messages"] == [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize("status", [404, 405, 400])
def test_counting_where_it_cannot(server: Server, status: int) -> None:
    server.says(status, {})
    with pytest.raises(Unsupported, match="counting tokens"):
        call(server, lambda engine: engine.count_tokens(HELLO))


def test_the_context_that_vllm_tells(server: Server) -> None:
    server.says(200, {"data": [{"id": "other", "max_model_len": 1}, {"id": "theirs", "max_model_len": 4096}]})

    async def started(engine: OpenAi) -> int:
        await engine.start()
        return engine.able.context_tokens

    assert call(server, started) == 4096
    assert call(server, started, context_tokens=2048) == 2048


def test_embeddings_in_the_order_of_the_texts(server: Server) -> None:
    rows = [{"index": 1, "embedding": [0, 1]}, {"index": 0, "embedding": [1, 0]}]
    server.says(200, {"data": rows, "usage": {"prompt_tokens": 5}})
    embedded = call(server, lambda engine: engine.embed(["a", "b"]), embeddings=True)
    assert embedded == ([[1.0, 0.0], [0.0, 1.0]], Usage(5, 0))
    server.says(200, {"data": rows[:1]})
    with pytest.raises(EngineFailed, match="1 vectors for 2 texts"):
        call(server, lambda engine: engine.embed(["a", "b"]), embeddings=True)


def test_scores_in_the_order_of_the_documents(server: Server) -> None:
    rows = [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0}]
    server.says(200, {"results": rows, "usage": {"total_tokens": 7}})
    scored = call(server, lambda engine: engine.rerank("q", ["a", "b"]), rerank=True)
    assert scored == ([0.0, 0.9], Usage(7, 0))
    assert server.seen[-1].raw_path == "/v1/rerank"
    assert server.body == {"model": "theirs", "query": "q", "documents": ["a", "b"]}
    for missing in (rows[:1], [rows[0], rows[0]]):
        server.says(200, {"results": missing})
        with pytest.raises(EngineFailed, match="scores for 2 documents"):
            call(server, lambda engine: engine.rerank("q", ["a", "b"]), rerank=True)
    with pytest.raises(Unsupported, match="reranking"):
        call(server, lambda engine: engine.rerank("q", ["a"]))
    with pytest.raises(Unsupported, match="chat"):
        ask(server, rerank=True)


def test_what_the_settings_say_it_cannot_do(server: Server) -> None:
    with pytest.raises(Unsupported, match="images"):
        ask(server, ChatRequest((Message("user", (Image("png", b""),)),)))
    with pytest.raises(Unsupported, match="images"):
        ask(server, ChatRequest((Message("user", (ToolResult("x", (Image("png", b""),)),)),)))
    with pytest.raises(Unsupported, match="tool use"):
        ask(server, ChatRequest(HELLO.messages, tools=(WEATHER,)), tools=False)
    with pytest.raises(Unsupported, match="chat"):
        ask(server, embeddings=True)
    with pytest.raises(Unsupported, match="embeddings"):
        call(server, lambda engine: engine.embed(["a"]))
    assert not server.seen


FITTING = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
STRICT = Tool("count", "", FITTING, strict=True)


def test_schemas_are_asked_for_strictly(server: Server) -> None:
    server.streams({"choices": [{"delta": {"content": '{"n": 1}'}}]}, END)
    ask(server, ChatRequest(HELLO.messages, json_schema=FITTING))
    asked = server.body["response_format"]
    assert asked == {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": FITTING}}
    server.streams(called("count", '{"n": 1}'), END)
    ask(server, ChatRequest(HELLO.messages, tools=(STRICT, WEATHER), tool_choice=ToolChoice("any")))
    assert [tool["function"].get("strict") for tool in server.body["tools"]] == [True, None]
    assert server.body["tool_choice"] == "required"


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (ChatRequest(HELLO.messages, json_schema=FITTING), {"choices": [{"delta": {"content": '{"n": "one"}'}}]}),
        (ChatRequest(HELLO.messages, json_schema=FITTING), {"choices": [{"delta": {"content": "One."}}]}),
        (CompletionRequest("one", FITTING), {"choices": [{"text": "two"}]}),
        (ChatRequest(HELLO.messages, (STRICT,)), called("count", '{"n": null}')),
        (ChatRequest(HELLO.messages, (STRICT,), ToolChoice("any")), {"choices": [{"delta": {"content": "No."}}]}),
        (ChatRequest(HELLO.messages, (WEATHER,), ToolChoice("any")), called("get_weather", '{"city": 1}')),
    ],
)
def test_a_server_that_does_not_hold_to_a_schema_fails(
    server: Server, request_: ChatRequest | CompletionRequest, said: dict[str, Any]
) -> None:
    server.streams(said, END)
    with pytest.raises(EngineFailed, match=r"does not fit|did not call"):
        ask(server, request_)
    cut = {"choices": [{"delta": {}, "finish_reason": "length"}]}
    server.streams(said, cut)
    finish = ask(server, request_)[-1]
    assert isinstance(finish, Finish)
    assert finish.reason == "length"


def test_what_is_no_schema_is_not_sent(server: Server) -> None:
    with pytest.raises(InvalidRequest, match="not valid"):
        ask(server, ChatRequest(HELLO.messages, json_schema={"type": "weird"}))
    assert [seen.raw_path for seen in server.seen] == []
