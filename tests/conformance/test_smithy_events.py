"""Smithy's event-stream tests: every frame is decoded, and those of answers are written, checked as a client reads."""

from __future__ import annotations

import base64
import json
from datetime import datetime
from typing import Any

import pytest

from outcrop.errors import AwsError
from outcrop.wire.eventstream import Message, decode
from outcrop.wire.write import write_event, write_exception
from tests.conformance.shared import needs
from tests.conformance.smithy.protocol_cases import native, operations, shapes

pytestmark = needs("restjson/smithy-restJson1")

# (operation, event) of all tests, those of clients too: what a client must take is what a server may send.
EVENTS: list[Any] = [
    pytest.param(owner, event, id=f"{test['id']}-{at}")
    for owner, shape in shapes().items()
    for test in shape.traits.get("eventStreamTests", ())
    for at, event in enumerate(test.get("events", ()))
]
# Frames that no server writes: they have no params, or are for clients to refuse.
WRITTEN = [
    param
    for param in EVENTS
    if param.values[1]["type"] == "response"
    and "params" in param.values[1]
    and not any(word in str(param.id) for word in ("Missing", "Malformed", "Unexpected"))
]


def header(told: dict[str, Any]) -> Any:
    ((kind, value),) = told.items()
    if kind == "blob":
        return base64.b64decode(value)
    return datetime.fromisoformat(value) if kind == "timestamp" else value


def headers(event: dict[str, Any]) -> dict[str, Any]:
    return {name: header(told) for name, told in event.get("headers", {}).items()}


def holds(event: dict[str, Any], message: Message) -> bool:
    """The headers and the body of a case; a content type where it has none is no mistake."""
    found = dict(message.headers)
    if ":content-type" not in event.get("headers", {}):
        found.pop(":content-type", None)
    return found == headers(event) and same_body(message.payload, event.get("body", ""))


def same_body(payload: bytes, text: str) -> bool:
    if payload.startswith(b"{"):
        return bool(json.loads(payload) == json.loads(text or "{}"))
    return payload == text.encode()


@pytest.mark.parametrize(("owner", "event"), EVENTS)
def test_frames_are_read(owner: str, event: dict[str, Any]) -> None:
    message, rest = decode(base64.b64decode(event["bytes"]))
    assert rest == b""
    assert holds(event, message), message


@pytest.mark.parametrize(("owner", "event"), WRITTEN)
def test_events_are_written(owner: str, event: dict[str, Any]) -> None:
    operation = operations()[owner]
    known = operation.model.shapes
    ((name, params),) = event["params"].items()
    stream = operation.output_event_stream
    assert stream is not None
    target = known[operation.output_shape["members"][stream]["shape"]]["members"][name]["shape"]
    if known[target].get("exception"):
        written = write_exception(operation, AwsError(params["message"], code=target))
    else:
        written = write_event(operation, {name: native(known[target], params)})
    assert holds(event, decode(written)[0]), written


def test_the_suite_is_complete() -> None:
    assert (len(EVENTS), len(WRITTEN)) == (92, 34)
