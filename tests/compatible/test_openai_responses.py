"""The Responses API, judged by the official `openai` package."""

from __future__ import annotations

import contextlib

import pytest
from openai import BadRequestError, NotFoundError, OpenAI
from openai.types.responses import (
    FunctionToolParam,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseReasoningItem,
)
from pydantic import BaseModel

from outcrop.store.database import Database
from tests.compatible.conftest import MODEL
from tests.live import Server
from tests.stores import store_at

WEATHER: FunctionToolParam = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    "strict": False,
}


class City(BaseModel):
    city: str


def test_a_response(client: OpenAI) -> None:
    response = client.responses.create(model=MODEL, input="Say hello", instructions="Be brief.")
    assert response.output_text == "Hello from the script."
    assert response.status == "completed"
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    assert response.instructions == "Be brief."


def test_it_is_kept_and_continued(client: OpenAI) -> None:
    first = client.responses.create(model=MODEL, input="Say hello")
    assert client.responses.retrieve(first.id).output_text == first.output_text
    items = client.responses.input_items.list(first.id).data
    assert [item.type for item in items] == ["message"]
    second = client.responses.create(model=MODEL, input="Echo", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    # The scripted engine counts a word a token and one a message: three messages, the first two of six words.
    assert second.usage is not None
    assert second.usage.input_tokens == 3 + 2 + 4 + 1
    third = client.responses.create(model=MODEL, input="Echo", previous_response_id=second.id)
    assert third.usage is not None
    assert third.usage.input_tokens == 5 + 2 + 4 + 1 + 1 + 1
    client.responses.delete(first.id)
    with pytest.raises(NotFoundError):
        client.responses.retrieve(first.id)
    with pytest.raises(BadRequestError, match="Previous response"):
        client.responses.create(model=MODEL, input="Echo", previous_response_id=first.id)


def test_it_is_not_kept_when_that_is_not_wanted(client: OpenAI) -> None:
    response = client.responses.create(model=MODEL, input="Say hello", store=False)
    with pytest.raises(NotFoundError):
        client.responses.retrieve(response.id)


def test_nothing_of_another_account_is_seen(client: OpenAI, server: Server, variables: dict[str, str]) -> None:
    """The region is part of the place, and all that one account can vary here."""
    from datetime import UTC, datetime

    from outcrop.identity.bearer import new_short_term_key

    first = client.responses.create(model=MODEL, input="Say hello")
    environment = server.environment
    key = new_short_term_key(
        environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"], "eu-west-1", datetime.now(UTC)
    )
    elsewhere = OpenAI(base_url=variables["OPENAI_BASE_URL"], api_key=key, max_retries=0)
    with pytest.raises(NotFoundError):
        elsewhere.responses.retrieve(first.id)


def test_a_stream(client: OpenAI) -> None:
    events = list(client.responses.create(model=MODEL, input="think", stream=True))
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == "Seen."
    thought = [event.delta for event in events if event.type == "response.reasoning_text.delta"]
    assert "".join(thought) == "Let me see."
    final = events[-1]
    assert final.type == "response.completed"
    assert [type(item) for item in final.response.output] == [ResponseReasoningItem, ResponseOutputMessage]
    assert final.response.usage is not None
    assert final.response.usage.output_tokens_details.reasoning_tokens == 3
    assert client.responses.retrieve(final.response.id).output_text == "Seen."


def test_the_packages_own_accumulator(client: OpenAI) -> None:
    with client.responses.stream(model=MODEL, input="the weather", tools=[WEATHER]) as stream:
        for _ in stream:
            pass
        final = stream.get_final_response()
    call = final.output[0]
    assert isinstance(call, ResponseFunctionToolCall)
    assert (call.name, call.arguments) == ("get_weather", '{"city":"Paris"}')


def test_tools_round_trip(client: OpenAI) -> None:
    first = client.responses.create(model=MODEL, input="the weather", tools=[WEATHER])
    call = first.output[0]
    assert isinstance(call, ResponseFunctionToolCall)
    second = client.responses.create(
        model=MODEL,
        previous_response_id=first.id,
        input=[{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}],
        tools=[WEATHER],
    )
    assert second.output_text == "It is sunny."


def test_structured_output(client: OpenAI) -> None:
    response = client.responses.parse(model=MODEL, input="Paris as json", text_format=City)
    assert response.output_parsed == City(city="Paris")


def test_what_is_cut_off_is_incomplete(client: OpenAI) -> None:
    response = client.responses.create(model=MODEL, input="Say hello", max_output_tokens=2)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"


def test_what_is_refused(client: OpenAI) -> None:
    for members, told in (
        ({"background": True}, "background"),
        ({"truncation": "auto"}, "truncation"),
        ({"reasoning": {"effort": "low"}}, "effort"),
        ({"tools": [{"type": "web_search"}]}, "type 'function'"),
        ({"input": [{"type": "computer_call_output"}]}, "not supported"),
        ({"unknown": 1}, "unknown"),
    ):
        with pytest.raises(BadRequestError, match=told):
            client.responses.create(model=MODEL, input="Hi", extra_body=members)


def test_a_killed_server_has_lost_nothing(client: OpenAI, server: Server) -> None:
    """What was answered is on disk before the last event is sent."""
    events = list(client.responses.create(model=MODEL, input="Say hello", stream=True))
    final = events[-1]
    assert final.type == "response.completed"
    with contextlib.closing(Database.open(store_at(server.home))) as database:
        assert database.query("SELECT id FROM responses WHERE id = ?", final.response.id) == [{"id": final.response.id}]
