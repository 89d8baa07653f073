"""Answers: statuses by service, members by shape, and what is our own mistake."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from outcrop.errors import AwsError, ConflictException, ResourceNotFoundException, ThrottlingException
from outcrop.wire.model import load_services
from outcrop.wire.operations import Operations, registered
from outcrop.wire.outputs import BadResponse
from outcrop.wire.write import write_error, write_event, write_response

OPERATIONS = load_services().operations


@pytest.mark.parametrize(
    ("key", "error", "status"),
    [
        (("bedrock", "CreateGuardrail"), ConflictException("x"), 400),
        (("bedrock-agent", "CreateAgent"), ConflictException("x"), 409),
        (("bedrock", "GetGuardrail"), ResourceNotFoundException("x"), 404),
        (("bedrock-runtime", "Converse"), ThrottlingException("x"), 429),
        (("bedrock-runtime", "Converse"), AwsError("x", code="NobodyKnowsException"), 400),
    ],
)
def test_an_errors_status_is_its_services(key: tuple[str, str], error: AwsError, status: int) -> None:
    written, headers, body = write_error(OPERATIONS[key], error, "the-id")
    assert written == status
    assert orjson.loads(body)["message"] == "x"
    assert ("x-amzn-requestid", "the-id") in headers
    assert ("x-amzn-errortype", error.code) in headers


def test_an_error_without_an_operation() -> None:
    status, _, body = write_error(None, AwsError("nothing here", code="UnknownOperationException", status=404), "id")
    assert (status, orjson.loads(body)) == (404, {"message": "nothing here"})


def response(**changes: Any) -> dict[str, Any]:
    moment = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    return {
        "inferenceProfileName": "n", "inferenceProfileArn": "arn", "models": [], "inferenceProfileId": "i",
        "status": "ACTIVE", "type": "APPLICATION", "createdAt": moment, **changes,
    }  # fmt: skip


def test_timestamps_are_written_as_the_model_says() -> None:
    _, _, body = write_response(OPERATIONS["bedrock", "GetInferenceProfile"], response())
    assert orjson.loads(body)["createdAt"] == "2026-01-02T03:04:05.678Z"


def test_none_is_left_out() -> None:
    _, _, body = write_response(OPERATIONS["bedrock", "GetInferenceProfile"], response(description=None))
    assert "description" not in orjson.loads(body)


def test_a_key_that_the_shape_does_not_have_fails_loudly() -> None:
    with pytest.raises(BadResponse, match="colour"):
        write_response(OPERATIONS["bedrock", "GetInferenceProfile"], response(colour="blue"))


@pytest.mark.parametrize("event", [{}, {"noSuchEvent": {}}, {"messageStart": {"role": "assistant"}, "messageStop": {}}])
def test_an_event_is_one_member_of_its_stream(event: dict[str, Any]) -> None:
    with pytest.raises(BadResponse):
        write_event(OPERATIONS["bedrock-runtime", "ConverseStream"], event)


def test_the_registry_knows_every_name() -> None:
    with pytest.raises(ValueError, match="There is no service 'bedrok'"):
        Operations("bedrok")

    def no_such_operation() -> None: ...

    with pytest.raises(ValueError, match="has no operation of that name"):
        Operations("bedrock")(no_such_operation)


def test_an_operation_is_registered_once() -> None:
    import outcrop.inference.operations  # noqa: F401 - registers it

    assert ("bedrock-runtime", "Converse") in registered()

    def converse() -> None: ...

    with pytest.raises(ValueError, match="registered twice"):
        Operations("bedrock-runtime")(converse)
