"""The Anthropic SDK's own Bedrock client: InvokeModel with Messages bodies, SigV4, event streams."""

from __future__ import annotations

import pytest
from anthropic import AnthropicBedrock, BadRequestError
from anthropic.types import TextBlock, ToolUseBlock

from tests.journeys.conversation import QUESTION, WEATHER_SCHEMA
from tests.live import Server

CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
# Newer versions of the SDK have no argument for it.
GREEDY = {"temperature": 0}


@pytest.fixture
def anthropic(server: Server) -> AnthropicBedrock:
    environment = server.environment
    return AnthropicBedrock(
        aws_access_key=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_key=environment["AWS_SECRET_ACCESS_KEY"],
        aws_region=environment["AWS_REGION"],
        base_url=server.url,
        max_retries=0,
    )


def test_creates_a_message(anthropic: AnthropicBedrock) -> None:
    message = anthropic.messages.create(
        model=CLAUDE, max_tokens=40, messages=[{"role": "user", "content": QUESTION}], extra_body=GREEDY
    )
    assert isinstance(message.content[0], TextBlock)
    assert message.usage.output_tokens > 0
    assert message.stop_reason in ("end_turn", "max_tokens")


def test_streams_a_message(anthropic: AnthropicBedrock) -> None:
    with anthropic.messages.stream(
        model=CLAUDE, max_tokens=40, messages=[{"role": "user", "content": QUESTION}], extra_body=GREEDY
    ) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert isinstance(final.content[0], TextBlock)
    assert final.content[0].text == text
    assert final.usage.output_tokens > 0


def test_calls_a_tool(anthropic: AnthropicBedrock) -> None:
    message = anthropic.messages.create(
        model=CLAUDE,
        max_tokens=120,
        extra_body=GREEDY,
        tools=[{"name": "get_weather", "description": "Get the weather", "input_schema": WEATHER_SCHEMA}],
        tool_choice={"type": "tool", "name": "get_weather"},
        messages=[{"role": "user", "content": "What is the weather in Paris?"}],
    )
    assert message.stop_reason == "tool_use"
    call = next(block for block in message.content if isinstance(block, ToolUseBlock))
    assert call.name == "get_weather"
    assert isinstance(call.input, dict)
    assert set(call.input) == {"city"}


def test_is_told_what_is_wrong(anthropic: AnthropicBedrock) -> None:
    with pytest.raises(BadRequestError):
        anthropic.messages.create(model="anthropic.claude-x", max_tokens=10, messages=[])
