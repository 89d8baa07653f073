"""From an HTTP request to an operation's request dict: labels, query, headers, payload, body, each bound once at
start."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson

from outcrop.errors import AwsError, SerializationException
from outcrop.request import HttpRequest
from outcrop.wire.read import JsonReaders, Mismatch, Reader, ShapeDict, structure_reader, timestamp_format
from outcrop.wire.texts import TextReader, split_header, text_reader

# (request, labels, query parameters, result) -> None: each takes its member out of the request and into the result.
Query = Mapping[str, list[str]]
Binding = Callable[[HttpRequest, Mapping[str, str], Query, dict[str, Any]], None]
BodyReader = Callable[[HttpRequest, dict[str, Any]], None]

# Deeper JSON than orjson can write again (254 levels) must not get in; a margin is left for what answers wrap it in.
MAX_DEPTH = 200
_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)

_DEFAULT_FORMAT = {"header": "rfc822", "headers": "rfc822", "querystring": "iso8601", "uri": "iso8601"}


class InputReader:
    """Reads the requests of one operation. `path` and `query` of the URI template are matched by the router."""

    def __init__(self, shape: ShapeDict, shapes: Mapping[str, ShapeDict], readers: JsonReaders) -> None:
        self._bindings = [
            binding
            for name, member in shape["members"].items()
            if (binding := _binding(name, member, shapes)) is not None
        ]
        self._needs_query = any(m.get("location") == "querystring" for m in shape["members"].values())
        self._body = _body_reader(shape, shapes, readers)

    def __call__(self, request: HttpRequest, labels: Mapping[str, str]) -> dict[str, Any]:
        """The request dict, AWS's key names; SerializationException where the request does not fit the shape."""
        result: dict[str, Any] = {}
        try:
            if self._body is not None:
                self._body(request, result)
            query = parse_query(request.query) if self._needs_query and request.query else {}
            for binding in self._bindings:
                binding(request, labels, query, result)
        except Mismatch as mismatch:
            where = mismatch.where()
            raise SerializationException(f"{mismatch.text} at '{where}'" if where else mismatch.text) from None
        return result


def decode_percent(text: str) -> str:
    """Percent-escapes and raw bytes of a path or query part (latin-1, one character a byte) as UTF-8 text."""
    if "%" not in text and text.isascii():
        return text
    try:
        return unquote_to_bytes(text.encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise Mismatch("The request URI is not valid UTF-8") from None


def parse_query(query: str) -> dict[str, list[str]]:
    """Parameters in order. `+` is a space: clients that mean a plus write %2B, form encoders write spaces as plus."""
    result: dict[str, list[str]] = {}
    for part in query.split("&"):
        if part:
            key, _, value = part.replace("+", " ").partition("=")
            result.setdefault(decode_percent(key), []).append(decode_percent(value))
    return result


def _binding(name: str, member: ShapeDict, shapes: Mapping[str, ShapeDict]) -> Binding | None:
    location = member.get("location")
    if location is None:
        return None
    shape = shapes[member["shape"]]
    wire_name = member.get("locationName", name)
    if location == "headers":
        return _prefix_headers(name, wire_name.lower())
    if location == "querystring" and shape["type"] == "map":
        return _query_map(name, shapes[shape["value"]["shape"]]["type"] == "list")
    element = shapes[shape["member"]["shape"]] if shape["type"] == "list" else shape
    inner = shape["member"] if shape["type"] == "list" else member
    read = text_reader(inner, element, timestamp_format(inner, element, _DEFAULT_FORMAT[location]))
    if location == "uri":
        return _label(name, wire_name, read)
    is_list = shape["type"] == "list"
    if location == "querystring":
        return _query_list(name, wire_name, read) if is_list else _query(name, wire_name, read)
    if is_list:
        dates = timestamp_format(inner, element, "rfc822") == "rfc822"
        return _header_list(name, wire_name.lower(), read, dates)
    return _header(name, wire_name.lower(), read)


def _read(read: TextReader, text: str, name: str) -> Any:
    try:
        return read(text)
    except Mismatch as mismatch:
        mismatch.path.append(name)
        raise


def _label(name: str, wire_name: str, read: TextReader) -> Binding:
    def bind(request: HttpRequest, labels: Mapping[str, str], query: Query, result: dict[str, Any]) -> None:
        result[name] = _read(read, decode_percent(labels[wire_name]), name)

    return bind


def _header(name: str, wire_name: str, read: TextReader) -> Binding:
    def bind(request: HttpRequest, labels: Mapping[str, str], query: Query, result: dict[str, Any]) -> None:
        text = request.header(wire_name)
        if text is not None:
            result[name] = _read(read, text, name)

    return bind


def _header_list(name: str, wire_name: str, read: TextReader, dates: bool) -> Binding:
    def bind(request: HttpRequest, labels: Mapping[str, str], query: Query, result: dict[str, Any]) -> None:
        texts = [text for key, text in request.headers if key == wire_name]
        if texts:
            result[name] = [_read(read, item, name) for text in texts for item in split_header(text, dates)]

    return bind


def _prefix_headers(name: str, prefix: str) -> Binding:
    def bind(request: HttpRequest, labels: Mapping[str, str], query: Query, result: dict[str, Any]) -> None:
        found = {key[len(prefix) :]: text for key, text in reversed(request.headers) if key.startswith(prefix)}
        if found:
            result[name] = found

    return bind


def _query(name: str, wire_name: str, read: TextReader) -> Binding:
    def bind(request: HttpRequest, labels: Mapping[str, str], query: Query, result: dict[str, Any]) -> None:
        if (texts := query.get(wire_name)) is not None:
            result[name] = _read(read, texts[0], name)

    return bind


def _query_list(name: str, wire_name: str, read: TextReader) -> Binding:
    def bind(request: HttpRequest, labels: Mapping[str, str], query: Query, result: dict[str, Any]) -> None:
        if (texts := query.get(wire_name)) is not None:
            result[name] = [_read(read, text, name) for text in texts]

    return bind


def _query_map(name: str, of_lists: bool) -> Binding:
    """All parameters of the request, those with members of their own included (Smithy's httpQueryParams)."""

    def bind(request: HttpRequest, labels: Mapping[str, str], query: Query, result: dict[str, Any]) -> None:
        if query:
            result[name] = {key: list(texts) if of_lists else texts[0] for key, texts in query.items()}

    return bind


def _body_reader(shape: ShapeDict, shapes: Mapping[str, ShapeDict], readers: JsonReaders) -> BodyReader | None:
    payload = shape.get("payload")
    if payload is not None:
        member = shape["members"][payload]
        return _payload_reader(payload, shapes[member["shape"]], lambda: readers.of(member))
    in_body = [name for name, member in shape["members"].items() if "location" not in member]
    if not in_body:
        return None
    return _members_reader(readers, shape, in_body)


def _members_reader(readers: JsonReaders, shape: ShapeDict, names: list[str]) -> BodyReader:
    read = structure_reader(readers.members(shape, dict.fromkeys(names)))

    def read_members(request: HttpRequest, result: dict[str, Any]) -> None:
        if request.body:
            require_json(request)
            result.update(read(parse_json(request.body)))

    return read_members


def _payload_reader(name: str, shape: ShapeDict, reader: Callable[[], Reader]) -> BodyReader | None:
    if shape.get("eventstream"):
        return None  # the stream is handed over by the server, not read here
    if shape["type"] == "blob":
        return lambda request, result: result.update({name: request.body}) if request.body else None
    if shape["type"] == "string":
        return _string_payload(name)
    read = reader()

    def read_payload(request: HttpRequest, result: dict[str, Any]) -> None:
        if request.body:
            require_json(request)
            value = parse_json(request.body)
            if value is not None or shape.get("document"):
                result[name] = _read(read, value, name)

    return read_payload


def _string_payload(name: str) -> BodyReader:
    def read_string_payload(request: HttpRequest, result: dict[str, Any]) -> None:
        if request.body:
            try:
                result[name] = request.body.decode()
            except UnicodeDecodeError:
                raise Mismatch("The request body is not valid UTF-8") from None

    return read_string_payload


def require_json(request: HttpRequest) -> None:
    """A body that says it is something else than JSON is refused; one that says nothing is taken for JSON."""
    given = request.header("content-type")
    if given is None or given == "application/json":
        return
    if given.partition(";")[0].strip().lower() != "application/json":
        raise AwsError(
            f"The Content-Type {given[:128]} is not application/json.", code="UnsupportedMediaTypeException", status=415
        )


def parse_json(body: bytes) -> Any:
    """RFC 8259 JSON; a repeated key's last value wins. Bad UTF-8, bad JSON and bottomless nesting are a Mismatch."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Mismatch(f"The request body is not valid JSON: {error}") from None
    if body.count(b"{") + body.count(b"[") > MAX_DEPTH and depth(body) > MAX_DEPTH:
        raise Mismatch(f"The request body is nested deeper than {MAX_DEPTH} levels")
    return value


def depth(body: bytes) -> int:
    """How deep valid JSON nests."""
    level = deepest = 0
    for match in _BRACKETS.finditer(body):
        bracket = match[0]
        if bracket in (b"{", b"["):
            level += 1
            deepest = max(deepest, level)
        elif bracket in (b"}", b"]"):
            level -= 1
    return deepest
