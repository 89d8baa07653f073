"""Event-stream members as frames: each event's constant headers are encoded once, at first use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from outcrop.errors import AwsError
from outcrop.wire.eventstream import Byte, HeaderValue, Long, Short, assemble, encode_header
from outcrop.wire.outputs import BadResponse, JsonWriters, payload_writer
from outcrop.wire.read import ShapeDict

EventWriter = Callable[[Mapping[str, Any]], bytes]
_INTEGER_HEADERS: dict[str, type[int]] = {"byte": Byte, "short": Short, "integer": int, "long": Long}


class EventWriters:
    """Writes the events and the exceptions of one stream."""

    def __init__(self, stream: ShapeDict, shapes: Mapping[str, ShapeDict], writers: JsonWriters) -> None:
        self._events: dict[str, EventWriter] = {}
        self._exceptions: dict[str, tuple[str, EventWriter]] = {}  # by shape name: the error's code
        for name, member in stream["members"].items():
            shape = shapes[member["shape"]]
            if shape.get("exception"):
                self._exceptions[member["shape"]] = name, _event_writer("exception", name, member, shapes, writers)
            else:
                self._events[name] = _event_writer("event", name, member, shapes, writers)

    def event(self, event: Mapping[str, Any]) -> bytes:
        """A union dict with one member, `{"messageStart": {...}}`, as a frame."""
        given = [(name, value) for name, value in event.items() if value is not None]
        if len(given) != 1 or given[0][0] not in self._events:
            raise BadResponse(f"an event has exactly one of the stream's members, not {list(event)}")
        name, value = given[0]
        return self._events[name](value)

    def exception(self, error: AwsError) -> bytes:
        """An exception frame; an error that the stream does not model becomes an `error` frame with its code."""
        modelled = self._exceptions.get(error.code)
        if modelled is None:
            return _unmodelled(error)
        return modelled[1]({"message": error.message, **error.members})


def _unmodelled(error: AwsError) -> bytes:
    headers = {":message-type": "error", ":error-code": error.code, ":error-message": error.message[:8000]}
    return assemble(b"".join(encode_header(name, value) for name, value in headers.items()), b"")


def _event_writer(
    message: str, name: str, member: ShapeDict, shapes: Mapping[str, ShapeDict], writers: JsonWriters
) -> EventWriter:
    shape = shapes[member["shape"]]
    in_headers = [key for key, inner in shape["members"].items() if inner.get("eventheader")]
    payload = next((key for key, inner in shape["members"].items() if inner.get("eventpayload")), None)
    start = encode_header(f":{message}-type", name) + encode_header(":message-type", message)
    if payload is None and not in_headers:
        return _json_event(start + encode_header(":content-type", "application/json"), writers.of(member))
    return _mixed_event(start, member["shape"], shape, in_headers, payload, shapes, writers)


def _json_event(headers: bytes, write: Callable[[Any], Any]) -> EventWriter:
    return lambda value: assemble(headers, orjson.dumps(write(value)))


def _mixed_event(
    start: bytes,
    name: str,
    shape: ShapeDict,
    in_headers: list[str],
    payload: str | None,
    shapes: Mapping[str, ShapeDict],
    writers: JsonWriters,
) -> EventWriter:
    """An event with header members, a payload member, or both."""
    write_payload = payload_writer(shape["members"][payload], shapes, writers) if payload else None
    kinds = {key: shapes[shape["members"][key]["shape"]]["type"] for key in in_headers}
    rest = {key: inner for key, inner in shape["members"].items() if key not in in_headers and key != payload}
    write_rest = writers.structure(name, shape, rest)

    def write(value: Mapping[str, Any]) -> bytes:
        headers = [start]
        given = [key for key in in_headers if value.get(key) is not None]
        headers.extend(encode_header(key, _header_value(kinds[key], value[key])) for key in given)
        body = write_rest({key: item for key, item in value.items() if key not in kinds and key != payload})
        content_type, data = "application/json", b""
        if payload is None or write_payload is None:
            data = orjson.dumps(body)
        elif value.get(payload) is not None:
            content_type, data = write_payload(value[payload])
        return assemble(b"".join((*headers, encode_header(":content-type", content_type))), data)

    return write


def _header_value(kind: str, value: Any) -> HeaderValue:
    integer = _INTEGER_HEADERS.get(kind)
    result: HeaderValue = value if integer is None else integer(value)
    return result
