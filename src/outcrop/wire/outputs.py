"""From a response dict to HTTP: writers of JSON values for each shape, and each member bound once to its place.

A key that the shape does not have, or a value of the wrong kind, is a fault of Outcrop: `BadResponse`, never sent to
a client.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from outcrop.wire.read import INTEGER_RANGES, ShapeDict, timestamp_format
from outcrop.wire.texts import TIMESTAMP_WRITERS, quote_item, text_writer, write_text_float
from outcrop.wire.timestamps import to_epoch

Writer = Callable[[Any], Any]
Headers = list[tuple[str, str]]
HeaderWriter = Callable[[Any, Headers], None]


class BadResponse(Exception):
    """An operation answered with something its shape does not hold."""


def keep(kind: type, name: str) -> Writer:
    """Checks the type and hands the value on."""

    def write(value: Any) -> Any:
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise BadResponse(f"{value!r:.80} is not a {name}")
        return value

    return write


def write_float(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadResponse(f"{value!r:.80} is not a number")
    return value if math.isfinite(value) else write_text_float(value)


def write_blob(value: Any) -> str:
    return base64.b64encode(value).decode()


def list_writer(item: Writer) -> Writer:
    def write_list(value: Any) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise BadResponse(f"{value!r:.80} is not a list")
        return [None if element is None else item(element) for element in value]

    return write_list


def map_writer(item: Writer) -> Writer:
    def write_map(value: Any) -> dict[str, Any]:
        return {key: None if element is None else item(element) for key, element in value.items()}

    return write_map


def structure_writer(name: str, members: Mapping[str, tuple[str, Writer]]) -> Writer:
    """`members`: name in the response dict → (name on the wire, writer). None is absent."""

    def write_structure(value: Any) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key, element in value.items():
            if element is None:
                continue
            if (member := members.get(key)) is None:
                raise BadResponse(f"{name} has no member {key!r}")
            wire_name, writer = member
            result[wire_name] = writer(element)
        return result

    return write_structure


class JsonWriters:
    """The writers of one service's shapes, made on demand and kept."""

    def __init__(self, shapes: Mapping[str, ShapeDict]) -> None:
        self._shapes = shapes
        self._made: dict[tuple[str, str], Writer] = {}

    def of(self, reference: ShapeDict) -> Writer:
        name: str = reference["shape"]
        shape = self._shapes[name]
        form = timestamp_format(reference, shape, "unixTimestamp")
        writer = self._made.get((name, form))
        if writer is None:
            self._made[name, form] = lambda value: self._made[name, form](value)  # for shapes that hold themselves
            writer = self._made[name, form] = self._make(name, shape, form)
        return writer

    def _make(self, name: str, shape: ShapeDict, form: str) -> Writer:
        kind = shape["type"]
        if kind == "structure":
            return _as_is if shape.get("document") else self.structure(name, shape, shape["members"])
        if kind == "list":
            return list_writer(self.of(shape["member"]))
        if kind == "map":
            return map_writer(self.of(shape["value"]))
        if kind == "timestamp":
            return to_epoch if form == "unixTimestamp" else TIMESTAMP_WRITERS[form]
        return keep(int, "whole number") if kind in INTEGER_RANGES else _SCALARS[kind]

    def structure(self, name: str, shape: ShapeDict, names: Mapping[str, Any]) -> Writer:
        """The writer of the given members of a structure."""
        found = ((key, shape["members"][key]) for key in names)
        return structure_writer(
            name, {key: (member.get("locationName", key), self.of(member)) for key, member in found}
        )


def _as_is(value: Any) -> Any:
    return value


_SCALARS: dict[str, Writer] = {
    "string": keep(str, "string"),
    "character": keep(str, "string"),
    "boolean": keep(bool, "boolean"),
    "float": write_float,
    "double": write_float,
    "blob": write_blob,
}


# Labels and query parameters mean nothing in an answer: such a member is one of the body's.
_NOT_BODY = {"header", "headers", "statusCode"}


class OutputWriter:
    """Writes a structure as an HTTP message: the responses of an operation, or a modelled error."""

    def __init__(self, name: str, shape: ShapeDict, shapes: Mapping[str, ShapeDict], writers: JsonWriters) -> None:
        members: Mapping[str, ShapeDict] = shape["members"]
        self._headers = {
            key: writer
            for key, member in members.items()
            if (writer := _header_writer(key, member, shapes)) is not None
        }
        self._status = next((key for key, member in members.items() if member.get("location") == "statusCode"), None)
        self._payload: str | None = shape.get("payload")
        in_body = {k: m for k, m in members.items() if m.get("location") not in _NOT_BODY and k != self._payload}
        self._body = writers.structure(name, shape, in_body)
        self.stream = self._payload_stream(members, shapes)
        if self._payload is not None and self.stream is None:
            self._write_payload = payload_writer(members[self._payload], shapes, writers)

    def _payload_stream(self, members: Mapping[str, ShapeDict], shapes: Mapping[str, ShapeDict]) -> str | None:
        """The event-stream member; some models declare it as the payload and some only by its shape."""
        return next((key for key, member in members.items() if shapes[member["shape"]].get("eventstream")), None)

    def __call__(self, response: Mapping[str, Any], status: int) -> tuple[int, Headers, bytes]:
        """Status, headers and body; the body of a stream is empty here."""
        headers: Headers = []
        rest: dict[str, Any] = {}
        payload: Any = None
        for key, value in response.items():
            if value is None:
                continue
            if (writer := self._headers.get(key)) is not None:
                writer(value, headers)
            elif key == self._status:
                status = value
            elif key in (self._payload, self.stream):
                payload = value
            else:
                rest[key] = value
        body = self._body(rest)  # complains of unknown keys even where there is no JSON body
        if self.stream is not None:
            return status, [("content-type", "application/vnd.amazon.eventstream"), *headers], b""
        if self._payload is None:
            return status, [("content-type", "application/json"), *headers], orjson.dumps(body)
        if payload is None:
            return status, headers, b""
        content_type, data = self._write_payload(payload)
        if not any(name.lower() == "content-type" for name, _ in headers):
            headers.insert(0, ("content-type", content_type))
        return status, headers, data


def payload_writer(
    member: ShapeDict, shapes: Mapping[str, ShapeDict], writers: JsonWriters
) -> Callable[[Any], tuple[str, bytes]]:
    """The whole body (of a response or of an event) as one member: its content type and bytes."""
    kind = shapes[member["shape"]]["type"]
    if kind == "blob":
        return lambda value: ("application/octet-stream", bytes(value))
    if kind == "string":
        return lambda value: ("text/plain", value.encode())
    write = writers.of(member)
    return lambda value: ("application/json", orjson.dumps(write(value)))


def _header_writer(key: str, member: ShapeDict, shapes: Mapping[str, ShapeDict]) -> HeaderWriter | None:
    location = member.get("location")
    wire_name = member.get("locationName", key)
    if location == "headers":
        return lambda value, headers: headers.extend((wire_name + name, text) for name, text in value.items())
    if location != "header":
        return None
    shape = shapes[member["shape"]]
    if shape["type"] == "list":
        return _list_header(wire_name, shape["member"], shapes)
    write = text_writer(member, shape, timestamp_format(member, shape, "rfc822"))
    return lambda value, headers: headers.append((wire_name, write(value)))


def _list_header(wire_name: str, item: ShapeDict, shapes: Mapping[str, ShapeDict]) -> HeaderWriter:
    shape = shapes[item["shape"]]
    write = text_writer(item, shape, timestamp_format(item, shape, "rfc822"))
    quote = str if shape["type"] == "timestamp" else quote_item  # dates hold commas and are never quoted

    def write_header(value: Any, headers: Headers) -> None:
        headers.append((wire_name, ", ".join(quote(write(element)) for element in value)))

    return write_header
