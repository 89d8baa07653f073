"""The Anthropic interface, judged by the official `anthropic` package."""

from __future__ import annotations

import pytest
from anthropic import (
    Anthropic,
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    RateLimitError,
)
from anthropic.types import TextBlock, ToolParam, ToolUseBlock

from tests.compatible.conftest import CLAUDE, MODEL

WEATHER: ToolParam = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


def test_a_message(claude: Anthropic) -> None:
    message = claude.messages.create(
        model=CLAUDE, max_tokens=50, system="Be brief.", messages=[{"role": "user", "content": "Say hello"}]
    )
    assert isinstance(message.content[0], TextBlock)
    assert message.content[0].text == "Hello from the script."
    assert (message.model, message.stop_reason) == (CLAUDE, "end_turn")
    assert message.usage.output_tokens == 4
    assert message._request_id


def test_a_stream(claude: Anthropic) -> None:
    with claude.messages.stream(model=CLAUDE, max_tokens=50, messages=[{"role": "user", "content": "think"}]) as stream:
        assert "".join(stream.text_stream) == "Seen."
        final = stream.get_final_message()
    assert [block.type for block in final.content] == ["thinking", "text"]
    assert final.model == CLAUDE
    assert final.usage.input_tokens > 0


def test_raw_events(claude: Anthropic) -> None:
    events = claude.messages.create(
        model=CLAUDE, max_tokens=50, messages=[{"role": "user", "content": "Say it"}], stream=True
    )
    kinds = [event.type for event in events]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]


def test_tools_round_trip(claude: Anthropic) -> None:
    question = {"role": "user", "content": "the weather in Paris?"}
    first = claude.messages.create(model=CLAUDE, max_tokens=50, messages=[question], tools=[WEATHER])  # type: ignore[list-item]  # a plain dict
    call = first.content[0]
    assert isinstance(call, ToolUseBlock)
    assert (first.stop_reason, call.input) == ("tool_use", {"city": "Paris"})
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]}
    second = claude.messages.create(
        model=CLAUDE,
        max_tokens=50,
        messages=[question, {"role": "assistant", "content": first.content}, result],  # type: ignore[list-item]  # plain dicts
        tools=[WEATHER],
    )
    assert isinstance(second.content[0], TextBlock)
    assert second.content[0].text == "It is sunny."


def test_counting(claude: Anthropic) -> None:
    counted = claude.messages.count_tokens(model=CLAUDE, messages=[{"role": "user", "content": "one two three"}])
    assert counted.input_tokens == 4


def test_models(claude: Anthropic) -> None:
    assert {MODEL, CLAUDE} <= {model.id for model in claude.models.list()}
    assert claude.models.retrieve(CLAUDE).id == CLAUDE


def test_the_short_form_of_the_address(variables: dict[str, str]) -> None:
    root = variables["ANTHROPIC_BASE_URL"].removesuffix("/anthropic")
    short = Anthropic(base_url=root, api_key=variables["ANTHROPIC_API_KEY"], max_retries=0)
    message = short.messages.create(model=CLAUDE, max_tokens=9, messages=[{"role": "user", "content": "Say hello"}])
    assert message.stop_reason == "end_turn"
    assert CLAUDE in {model.id for model in short.models.list()}


def test_errors(claude: Anthropic, variables: dict[str, str]) -> None:
    def ask(text: str, client: Anthropic = claude, **members: object) -> None:
        body = {"model": CLAUDE, "max_tokens": 50, "messages": [{"role": "user", "content": text}], **members}
        client.post("/v1/messages", body=body, cast_to=object)

    with pytest.raises(NotFoundError, match="does not exist"):
        ask("Hi", model="nobody")
    with pytest.raises(BadRequestError, match="max_tokens: Field required") as missing:
        ask("Hi", max_tokens=None)
    assert missing.value.body == {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "max_tokens: Field required"},
        "request_id": missing.value.request_id,
    }
    with pytest.raises(BadRequestError, match="foo: Extra inputs are not permitted"):
        ask("Hi", foo=1)
    with pytest.raises(BadRequestError, match=r"messages\.0\.role"):
        ask("Hi", messages=[{"role": "robot", "content": "x"}])
    with pytest.raises(RateLimitError):
        ask("busy")
    with pytest.raises(InternalServerError, match="out of memory"):
        ask("fail first")
    with pytest.raises(AuthenticationError):
        ask("Hi", client=Anthropic(base_url=variables["ANTHROPIC_BASE_URL"], api_key="wrong", max_retries=0))


def test_an_error_within_the_stream(claude: Anthropic) -> None:
    stream = claude.messages.create(
        model=CLAUDE, max_tokens=50, messages=[{"role": "user", "content": "fail later"}], stream=True
    )
    with pytest.raises(APIStatusError, match="The script says so"):
        list(stream)
