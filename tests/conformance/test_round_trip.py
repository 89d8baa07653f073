"""Every operation through an unmodified botocore client: random requests are read back as they were given, random responses,
modelled errors and events are parsed by the client as they were written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from outcrop.errors import AwsError
from outcrop.request import HttpRequest
from outcrop.wire.model import Operation, load_services
from outcrop.wire.routes import Router
from outcrop.wire.write import write_error, write_event, write_exception, write_response
from tests.conformance.draw import Draw
from tests.conformance.loopback import Answer, answering

DRAWS = 3
OPERATIONS = load_services().operations
# botocore removes operations with an event stream in the request: they need HTTP/2 in both directions.
NOT_IN_BOTOCORE = {key for key, operation in OPERATIONS.items() if operation.input_event_stream}
CALLABLE = sorted(OPERATIONS.keys() - NOT_IN_BOTOCORE)
STREAMING = [key for key in CALLABLE if OPERATIONS[key].output_event_stream]


class Door:
    """The server's side: reads the request through router, reader and checker; answers what the test has laid ready."""

    def __init__(self) -> None:
        self.router = Router(OPERATIONS.values())
        self.url = ""
        self.clients: dict[str, Any] = {}
        self.seen: tuple[Operation, dict[str, Any]] | None = None
        self.error: Exception | None = None
        self.reply: Answer = (200, [], b"{}")

    def answer(self, request: HttpRequest) -> Answer:
        try:
            operation, labels = self.router.find(request.method, request.raw_path, request.query)
            params = operation.read(request, labels)
            operation.check(params)
            self.seen = operation, params
        except AwsError as error:
            self.error = error
        return self.reply

    def client(self, service: str) -> Any:
        if service not in self.clients:
            session = botocore.session.get_session()
            session.set_credentials("AKIDEXAMPLE", "secret")
            # No redirect of the path: the region and the endpoint are given, so the client asks nobody.
            config = Config(retries={"total_max_attempts": 1}, parameter_validation=True)
            self.clients[service] = session.create_client(
                service, region_name="us-east-1", endpoint_url=self.url, config=config
            )
        return self.clients[service]

    def model(self, key: tuple[str, str]) -> Any:
        return self.client(key[0]).meta.service_model.operation_model(key[1])

    def call(self, key: tuple[str, str], params: dict[str, Any], reply: Answer) -> Any:
        """Call through the client; what the server read is in `seen`."""
        self.reply, self.seen, self.error = reply, None, None
        return getattr(self.client(key[0]), OPERATIONS[key].function)(**params)


@pytest.fixture(scope="module")
def door() -> Iterator[Door]:
    door = Door()
    with answering(door.answer) as door.url:
        yield door


def named(key: tuple[str, str]) -> str:
    return f"{key[0]}.{key[1]}"


def plain_reply(key: tuple[str, str], draw: Draw, model: Any) -> tuple[dict[str, Any], Answer]:
    """A random response without its stream, and how it is written."""
    response = draw.structure(model.output_shape) if model.output_shape is not None else {}
    operation = OPERATIONS[key]
    if operation.output_event_stream is not None:
        response.pop(operation.output_event_stream, None)
    return response, write_response(operation, response)


@pytest.mark.parametrize("key", CALLABLE, ids=named)
def test_requests_and_responses(door: Door, key: tuple[str, str]) -> None:
    model = door.model(key)
    for seed in range(DRAWS):
        draw = Draw(f"{key}{seed}")
        params = draw.structure(model.input_shape)
        response, reply = plain_reply(key, draw, model)
        parsed = door.call(key, params, reply)
        assert door.error is None, f"{params}: {door.error}"
        assert door.seen is not None
        operation, read = door.seen
        assert (operation.service, operation.name) == key
        assert read == with_tokens(params, model, read)
        parsed.pop("ResponseMetadata")
        parsed.pop(operation.output_event_stream, None)
        assert as_bytes(parsed) == response


def with_tokens(params: dict[str, Any], model: Any, read: dict[str, Any]) -> dict[str, Any]:
    """What was given, and the idempotency tokens that the client adds by itself."""
    return params | {name: read[name] for name in set(model.idempotent_members) - params.keys()}


def as_bytes(parsed: dict[str, Any]) -> dict[str, Any]:
    """Streaming bodies read."""
    return {key: value.read() if hasattr(value, "read") else value for key, value in parsed.items()}


@pytest.mark.parametrize("key", CALLABLE, ids=named)
def test_errors(door: Door, key: tuple[str, str]) -> None:
    operation, model = OPERATIONS[key], door.model(key)
    params = Draw(key).structure(model.input_shape)
    for shape in model.error_shapes:
        members = Draw(f"{key}{shape.name}").structure(shape)
        message = members.pop("message", "") or "It did not work."
        error = AwsError(message, code=shape.name, members=members)
        with pytest.raises(ClientError) as caught:
            door.call(key, params, write_error(operation, error, "a-request-id"))
        response = caught.value.response
        assert response["Error"]["Code"] == shape.name
        assert response["Error"]["Message"] == message
        assert response["ResponseMetadata"]["HTTPStatusCode"] == shape.metadata["error"]["httpStatusCode"]
        assert response["ResponseMetadata"]["RequestId"] == "a-request-id"
        assert {name: response[name] for name in members} == members


@pytest.mark.parametrize("key", STREAMING, ids=named)
def test_events(door: Door, key: tuple[str, str]) -> None:
    operation, model = OPERATIONS[key], door.model(key)
    assert operation.output_event_stream is not None
    union = model.output_shape.members[operation.output_event_stream]
    draw = Draw(key)
    events = [
        {name: draw.structure(member)}
        for name, member in union.members.items()
        if not member.metadata.get("exception")
        for _ in range(DRAWS)
    ]
    _, (status, headers, _) = plain_reply(key, draw, model)
    body = b"".join(write_event(operation, event) for event in events)
    parsed = door.call(key, draw.structure(model.input_shape), (status, headers, body))
    assert list(parsed[operation.output_event_stream]) == events


@pytest.mark.parametrize("key", STREAMING, ids=named)
def test_exceptions_in_streams(door: Door, key: tuple[str, str]) -> None:
    operation, model = OPERATIONS[key], door.model(key)
    assert operation.output_event_stream is not None
    union = model.output_shape.members[operation.output_event_stream]
    codes = {member.name: name for name, member in union.members.items() if member.metadata.get("exception")}
    assert codes
    for code, member in [*codes.items(), ("ServiceQuotaExceededOddly", "ServiceQuotaExceededOddly")]:
        draw = Draw(f"{key}{code}")
        _, (status, headers, _) = plain_reply(key, draw, model)
        body = write_exception(operation, AwsError("It broke off.", code=code))
        parsed = door.call(key, draw.structure(model.input_shape), (status, headers, body))
        with pytest.raises(EventStreamError) as caught:
            list(parsed[operation.output_event_stream])
        assert caught.value.response["Error"] == {"Code": member, "Message": "It broke off."}


def test_every_operation_is_covered() -> None:
    assert {key[1] for key in NOT_IN_BOTOCORE} == {"InvokeModelWithBidirectionalStream"}
    assert len(CALLABLE) + len(NOT_IN_BOTOCORE) == len(OPERATIONS) >= 240
