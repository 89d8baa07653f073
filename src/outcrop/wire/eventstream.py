"""application/vnd.amazon.eventstream messages: a prelude, typed headers, a payload, and a CRC-32 of each half.

The format is AWS's (https://smithy.io/2.0/aws/amazon-eventstream.html): total length and headers length (4 bytes
each, big endian), CRC of these 8 bytes, headers, payload, CRC of everything before.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zlib import crc32

MAX_HEADERS_BYTES = 128 * 1024
MAX_PAYLOAD_BYTES = 24 * 1024 * 1024
_PRELUDE = struct.Struct("!II")
_CRC = struct.Struct("!I")
_OVERHEAD = 16
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class EventStreamError(ValueError):
    """Bytes that are not a message."""


class Byte(int):
    """An 8-bit header value. Plain ints are written as 32 bits."""


class Short(int):
    """A 16-bit header value."""


class Long(int):
    """A 64-bit header value."""


HeaderValue = bool | int | bytes | str | datetime | uuid.UUID


@dataclass(frozen=True, slots=True)
class Message:
    headers: Mapping[str, HeaderValue] = field(default_factory=dict)
    payload: bytes = b""


def encode(message: Message) -> bytes:
    return assemble(b"".join(encode_header(name, value) for name, value in message.headers.items()), message.payload)


def assemble(headers: bytes, payload: bytes) -> bytes:
    """A whole message from headers that are encoded already."""
    if len(headers) > MAX_HEADERS_BYTES or len(payload) > MAX_PAYLOAD_BYTES:
        raise EventStreamError("the message is too long")
    prelude = _PRELUDE.pack(_OVERHEAD + len(headers) + len(payload), len(headers))
    head = b"".join((prelude, _CRC.pack(crc32(prelude)), headers, payload))
    return head + _CRC.pack(crc32(head))


def encode_header(name: str, value: HeaderValue) -> bytes:
    encoded = name.encode()
    if not 0 < len(encoded) < 256:
        raise EventStreamError(f"a header name has 1 to 255 bytes: {name!r}")
    return bytes((len(encoded),)) + encoded + _encode_value(value)


def _encode_value(value: HeaderValue) -> bytes:
    if isinstance(value, bool):
        return b"\x00" if value else b"\x01"
    if isinstance(value, int):
        return _encode_integer(value)
    if isinstance(value, bytes | str):
        data = value.encode() if isinstance(value, str) else value
        if len(data) > 0x7FFF:
            raise EventStreamError("a header value has at most 32767 bytes")
        return struct.pack("!BH", 7 if isinstance(value, str) else 6, len(data)) + data
    if isinstance(value, datetime):
        return struct.pack("!Bq", 8, round((value - _EPOCH) / timedelta(milliseconds=1)))
    return b"\x09" + value.bytes


def _encode_integer(value: int) -> bytes:
    if isinstance(value, Byte):
        return struct.pack("!Bb", 2, value)
    if isinstance(value, Short):
        return struct.pack("!Bh", 3, value)
    return struct.pack("!Bq", 5, value) if isinstance(value, Long) else struct.pack("!Bi", 4, value)


def decode(data: bytes) -> tuple[Message, bytes]:
    """The first message of `data` and what follows it; EventStreamError if it is incomplete or damaged."""
    if len(data) < _OVERHEAD:
        raise EventStreamError("the message is shorter than its frame")
    total, headers_length = _PRELUDE.unpack_from(data)
    if _CRC.unpack_from(data, 8)[0] != crc32(data[:8]):
        raise EventStreamError("the prelude's checksum does not match")
    if headers_length > MAX_HEADERS_BYTES or total > _OVERHEAD + MAX_HEADERS_BYTES + MAX_PAYLOAD_BYTES:
        raise EventStreamError("the message is too long")
    if total < _OVERHEAD + headers_length or len(data) < total:
        raise EventStreamError("the message is cut off")
    if _CRC.unpack_from(data, total - 4)[0] != crc32(data[: total - 4]):
        raise EventStreamError("the message's checksum does not match")
    headers = _decode_headers(data[12 : 12 + headers_length])
    return Message(headers, data[12 + headers_length : total - 4]), data[total:]


def _decode_headers(data: bytes) -> dict[str, HeaderValue]:
    headers: dict[str, HeaderValue] = {}
    at = 0
    try:
        while at < len(data):
            start, at = at + 1, at + 1 + data[at]
            name = data[start:at].decode()
            if not name or name in headers:
                raise EventStreamError(f"a header without a name, or twice: {name!r}")
            headers[name], at = _decode_value(data, at)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise EventStreamError("the headers are damaged") from error
    return headers


_NUMBERS: dict[int, tuple[struct.Struct, type[int]]] = {
    2: (struct.Struct("!b"), Byte),
    3: (struct.Struct("!h"), Short),
    4: (struct.Struct("!i"), int),
    5: (struct.Struct("!q"), Long),
}


def _decode_value(data: bytes, at: int) -> tuple[HeaderValue, int]:
    kind, at = data[at], at + 1
    if kind in (0, 1):
        return kind == 0, at
    if kind in _NUMBERS:
        form, number = _NUMBERS[kind]
        return number(form.unpack_from(data, at)[0]), at + form.size
    if kind in (6, 7):
        (length,) = struct.unpack_from("!H", data, at)
        value, end = data[at + 2 : at + 2 + length], at + 2 + length
        if len(value) < length:
            raise EventStreamError("a header's value is cut off")
        return (value.decode() if kind == 7 else value), end
    if kind == 8:
        (milliseconds,) = struct.unpack_from("!q", data, at)
        return _moment(milliseconds), at + 8
    if kind == 9 and len(data) >= at + 16:
        return uuid.UUID(bytes=data[at : at + 16]), at + 16
    raise EventStreamError(f"unknown header type {kind}")


def _moment(milliseconds: int) -> datetime:
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError as error:
        raise EventStreamError("a header's time is out of range") from error
