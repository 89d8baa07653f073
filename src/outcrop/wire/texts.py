"""Values that travel as text: labels, query parameters, headers. Read into and written from Python values."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson

from outcrop.wire import timestamps
from outcrop.wire.read import FLOAT_WORDS, INTEGER_RANGES, Mismatch, ShapeDict

TextReader = Callable[[str], Any]
TextWriter = Callable[[Any], str]

_INTEGER = re.compile(r"-?\d+", re.ASCII)
_FLOAT = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_QUOTED_ITEM = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^",]*))\s*(,|$)')
# Past this many digits a number is out of every range, and int() would take quadratic time.
_MOST_DIGITS = 20

_PARSERS: dict[str, Callable[[str], datetime]] = {
    "unixTimestamp": timestamps.from_epoch_text,
    "iso8601": timestamps.from_date_time,
    "rfc822": timestamps.from_http_date,
}


def read_text_boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise Mismatch(f"'{text[:64]}' can not be converted to a Boolean")
    return text == "true"


def text_integer_reader(kind: str) -> TextReader:
    low, high = INTEGER_RANGES[kind]

    def read_text_integer(text: str) -> int:
        if not _INTEGER.fullmatch(text):
            raise Mismatch(f"'{text[:64]}' can not be converted to a {kind.capitalize()}")
        if len(text) > _MOST_DIGITS or not low <= int(text) <= high:
            raise Mismatch(f"'{text[:64]}' is out of range for a {kind.capitalize()}")
        return int(text)

    return read_text_integer


def text_float_reader(kind: str) -> TextReader:
    def read_text_float(text: str) -> float:
        if text in FLOAT_WORDS:
            return FLOAT_WORDS[text]
        if not _FLOAT.fullmatch(text) or math.isinf(float(text)):
            raise Mismatch(f"'{text[:64]}' can not be converted to a {kind.capitalize()}")
        return float(text)

    return read_text_float


def text_timestamp_reader(form: str) -> TextReader:
    parse = _PARSERS[form]

    def read_text_timestamp(text: str) -> datetime:
        try:
            return parse(text)
        except ValueError as error:
            raise Mismatch(str(error)) from None

    return read_text_timestamp


def read_text_blob(text: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError:
        raise Mismatch("The value is not valid base64") from None


def read_text_json(text: str) -> Any:
    """A `jsonvalue` header: base64 of a JSON document."""
    try:
        return orjson.loads(read_text_blob(text))
    except orjson.JSONDecodeError:
        raise Mismatch("The value is not base64 of a JSON document") from None


def same(text: str) -> str:
    return text


def text_reader(reference: ShapeDict, shape: ShapeDict, form: str) -> TextReader:
    """The reader of one value of a scalar shape; `form` is the timestamp format that applies."""
    kind = shape["type"]
    if reference.get("jsonvalue") or shape.get("jsonvalue"):
        return read_text_json
    if kind in INTEGER_RANGES:
        return text_integer_reader(kind)
    if kind in ("float", "double"):
        return text_float_reader(kind)
    if kind == "timestamp":
        return text_timestamp_reader(form)
    return {"boolean": read_text_boolean, "blob": read_text_blob}.get(kind, same)


def split_header(text: str, dates: bool) -> list[str]:
    """A header's list: items between commas, quoted where they hold one; HTTP dates hold one comma each, unquoted."""
    if dates:
        parts = text.split(",")
        return [f"{day.strip()}, {rest.strip()}" for day, rest in zip(parts[::2], parts[1::2], strict=False)]
    items: list[str] = []
    at = 0
    while True:
        match = _QUOTED_ITEM.match(text, at)
        if match is None:
            raise Mismatch("A quoted item of a header's list does not end")
        quoted, plain, comma = match.groups()
        items.append(plain.strip() if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        if not comma:
            return items
        at = match.end()


def quote_item(text: str) -> str:
    """An item of a header's list, quoted if it would be misread."""
    if '"' in text or "," in text:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text


def text_writer(reference: ShapeDict, shape: ShapeDict, form: str) -> TextWriter:
    kind = shape["type"]
    if reference.get("jsonvalue") or shape.get("jsonvalue"):
        return lambda value: base64.b64encode(orjson.dumps(value)).decode()
    if kind == "timestamp":
        return TIMESTAMP_WRITERS[form]
    if kind in ("float", "double"):
        return write_text_float
    if kind == "boolean":
        return lambda value: "true" if value else "false"
    return (lambda value: base64.b64encode(value).decode()) if kind == "blob" else str


TIMESTAMP_WRITERS: dict[str, TextWriter] = {
    "unixTimestamp": lambda value: str(timestamps.to_epoch(value)),
    "iso8601": timestamps.to_date_time,
    "rfc822": timestamps.to_http_date,
}


def write_text_float(value: float) -> str:
    if math.isfinite(value):
        return str(value)
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
