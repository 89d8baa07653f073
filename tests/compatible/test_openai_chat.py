"""Chat completions, judged by the official `openai` package."""

from __future__ import annotations

import pytest
from openai import APIError, BadRequestError, InternalServerError, NotFoundError, OpenAI, RateLimitError
from openai.types.chat import ChatCompletionMessageFunctionToolCall, ChatCompletionToolParam
from pydantic import BaseModel

from tests.compatible.conftest import CLAUDE, MODEL

WEATHER: ChatCompletionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class City(BaseModel):
    city: str


def test_a_completion(client: OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Say hello"}])
    assert answer.choices[0].message.content == "Hello from the script."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == MODEL
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer._request_id


def test_a_stream_with_usage(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model=CLAUDE,
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Say hello"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == "Hello from the script."
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 4
    assert "amazon-bedrock-invocationMetrics" not in chunks[-1].model_extra  # type: ignore[operator]  # always a dict


def test_tools_round_trip(client: OpenAI) -> None:
    question = {"role": "user", "content": "What is the weather in Paris?"}
    first = client.chat.completions.create(model=MODEL, messages=[question], tools=[WEATHER])  # type: ignore[list-item]  # a plain dict
    assert first.choices[0].finish_reason == "tool_calls"
    message = first.choices[0].message
    assert message.tool_calls is not None
    call = message.tool_calls[0]
    assert isinstance(call, ChatCompletionMessageFunctionToolCall)
    assert (call.function.name, call.function.arguments) == ("get_weather", '{"city":"Paris"}')
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    second = client.chat.completions.create(
        model=MODEL,
        messages=[question, message.to_dict(), result],  # type: ignore[list-item]  # plain dicts
        tools=[WEATHER],
    )
    assert second.choices[0].message.content == "It is sunny."


def test_tools_in_a_stream(client: OpenAI) -> None:
    with client.chat.completions.stream(
        model=MODEL, messages=[{"role": "user", "content": "the weather, please"}], tools=[WEATHER]
    ) as stream:
        final = stream.until_done().get_final_completion()
    calls = final.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].function.arguments == '{"city":"Paris"}'
    assert final.choices[0].finish_reason == "tool_calls"


def test_structured_output(client: OpenAI) -> None:
    answer = client.chat.completions.parse(
        model=MODEL, messages=[{"role": "user", "content": "Paris as json"}], response_format=City
    )
    assert answer.choices[0].message.parsed == City(city="Paris")


def test_reasoning_stands_beside_the_content(client: OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "think"}])
    message = answer.choices[0].message
    assert message.content == "Seen."
    assert message.model_extra == {"reasoning_content": "Let me see."}


@pytest.mark.parametrize("stream", [False, True])
def test_errors(client: OpenAI, stream: bool) -> None:
    def ask(text: str, model: str = MODEL, **members: object) -> None:
        answer = client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": text}], stream=stream, extra_body=members
        )
        list(answer)

    with pytest.raises(NotFoundError) as missing:
        ask("Hi", model="no-such-model")
    assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    with pytest.raises(BadRequestError, match="one choice"):
        ask("Hi", n=2)
    with pytest.raises(RateLimitError) as busy:
        ask("busy")
    assert busy.value.response.headers["retry-after"] == "1"
    with pytest.raises(InternalServerError, match="out of memory"):
        ask("fail first")


def test_an_error_within_the_stream(client: OpenAI) -> None:
    stream = client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "fail later"}], stream=True
    )
    heard: list[str | None] = []
    with pytest.raises(APIError, match="The script says so"):
        heard.extend(chunk.choices[0].delta.content for chunk in stream)
    assert [text for text in heard if text] == ["one", " two"]


def test_models(client: OpenAI) -> None:
    listed = {model.id: model for model in client.models.list()}
    assert {MODEL, CLAUDE} <= set(listed)
    assert client.models.retrieve(MODEL).owned_by == "Test"
    with pytest.raises(NotFoundError):
        client.models.retrieve("nobody")


def test_a_guardrail_is_never_passed_over(client: OpenAI) -> None:
    headers = {"X-Amzn-Bedrock-GuardrailIdentifier": "abc", "X-Amzn-Bedrock-GuardrailVersion": "1"}
    with pytest.raises(BadRequestError, match="Guardrails are not built"):
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hi"}], extra_headers=headers)
