"""Responses, events and errors as bytes. The only place that turns an AWS error into an HTTP message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from outcrop.errors import AwsError
from outcrop.wire.model import Operation
from outcrop.wire.outputs import Headers

# Where neither the operation's nor its service's model declares the error.
DEFAULT_STATUS = {
    "AccessDeniedException": 403,
    "ResourceNotFoundException": 404,
    "ConflictException": 409,
    "ThrottlingException": 429,
    "ModelNotReadyException": 429,
    "ModelErrorException": 424,
    "ModelStreamErrorException": 424,
    "ModelTimeoutException": 408,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
}


def write_response(operation: Operation, response: Mapping[str, Any]) -> tuple[int, Headers, bytes]:
    """Status, headers and body. A stream's body is empty: its frames come from `write_event`."""
    return operation.writer(response, operation.status)


def write_event(operation: Operation, event: Mapping[str, Any]) -> bytes:
    """One event, `{"messageStart": {...}}`, as a frame of the operation's output stream."""
    return operation.events.event(event)


def write_exception(operation: Operation, error: AwsError) -> bytes:
    """An error after the first byte: an exception frame, or an error frame where the stream does not model it."""
    return operation.events.exception(error)


def write_error(operation: Operation | None, error: AwsError, request_id: str) -> tuple[int, Headers, bytes]:
    """An error before the first byte; `operation` is None where none was found."""
    writer = None if operation is None else operation.model.error_writer(error.code)
    if operation is None or writer is None:
        headers, body = (
            [("content-type", "application/json")],
            orjson.dumps({"message": error.message, **error.members}),
        )
    else:
        _, headers, body = writer(_with_message(operation.model.shapes[error.code], error), 0)
    headers += [("x-amzn-requestid", request_id), ("x-amzn-errortype", error.code), *error.headers.items()]
    return status_of(operation, error), headers, body


def _with_message(shape: Mapping[str, Any], error: AwsError) -> dict[str, Any]:
    """Most exceptions model a `message`, some a `Message`, a few none."""
    name = next((member for member in shape["members"] if member.lower() == "message"), None)
    return {**error.members} if name is None else {name: error.message, **error.members}


def status_of(operation: Operation | None, error: AwsError) -> int:
    """The error's own status, else the operation's model's, else its service's, else what AWS uses for that name."""
    if error.status is not None:
        return error.status
    if operation is not None:
        declared = operation.errors.get(error.code) or operation.model.error_status(error.code)
        if declared is not None:
            return declared
    return DEFAULT_STATUS.get(error.code, 400)
