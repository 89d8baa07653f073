"""Event-stream messages: the AWS SDKs' own vectors, botocore's reader, and a round trip of anything."""

from __future__ import annotations

import base64
import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from outcrop.wire.eventstream import Byte, EventStreamError, Long, Message, Short, decode, encode
from tests.conformance.shared import DATA, needs

FOLDER = DATA / "eventstream" / "aws-sdk-go"
GOOD = sorted((FOLDER / "encoded" / "positive").glob("*"))
BAD = sorted((FOLDER / "encoded" / "negative").glob("*"))


def value_of(header: dict[str, Any]) -> object:
    kind, value = header["type"], header["value"]
    if kind == 6:
        return base64.b64decode(value)
    if kind == 7:
        return base64.b64decode(value).decode()
    if kind == 8:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=value)
    return uuid.UUID(bytes=base64.b64decode(value)) if kind == 9 else value


@needs("eventstream")
def test_the_vectors_are_complete() -> None:
    assert (len(GOOD), len(BAD)) == (5, 4)


@needs("eventstream")
@pytest.mark.parametrize("path", GOOD, ids=lambda path: path.name)
def test_valid_messages(path: Path) -> None:
    expected = json.loads((FOLDER / "decoded" / "positive" / path.name).read_text())
    data = path.read_bytes()
    message, rest = decode(data)
    assert rest == b""
    assert message.headers == {header["name"]: value_of(header) for header in expected["headers"]}
    assert message.payload == base64.b64decode(expected["payload"] or "")
    assert encode(message) == data, "written again, it is the same to the byte"


@needs("eventstream")
@pytest.mark.parametrize("path", BAD, ids=lambda path: path.name)
def test_corrupt_messages(path: Path) -> None:
    with pytest.raises(EventStreamError):
        decode(path.read_bytes())


MILLISECONDS = st.integers(0, 4_000_000_000_000).map(
    lambda n: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=n)
)
VALUES = st.one_of(
    st.booleans(),
    st.integers(-128, 127).map(Byte),
    st.integers(-(2**15), 2**15 - 1).map(Short),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(-(2**63), 2**63 - 1).map(Long),
    st.binary(max_size=100),
    st.text(st.characters(codec="utf-8"), max_size=50),
    MILLISECONDS,
    st.uuids(),
)
NAMES = st.text(st.characters(codec="utf-8", min_codepoint=33), min_size=1, max_size=20)
MESSAGES = st.builds(Message, st.dictionaries(NAMES, VALUES, max_size=6), st.binary(max_size=500))


@given(MESSAGES, st.binary(max_size=20))
def test_a_round_trip(message: Message, following: bytes) -> None:
    assert decode(encode(message) + following) == (message, following)


@given(st.dictionaries(NAMES, st.text(st.characters(codec="utf-8"), max_size=50), max_size=5), st.binary(max_size=300))
def test_botocore_reads_what_is_written(headers: dict[str, str], payload: bytes) -> None:
    buffer = EventStreamBuffer()
    buffer.add_data(encode(Message(headers, payload)))
    (read,) = list(buffer)
    assert read.headers == headers
    assert read.payload == payload


@given(MESSAGES, st.integers(0, 2000), st.integers(1, 255))
def test_a_flipped_byte_is_noticed(message: Message, place: int, change: int) -> None:
    data = bytearray(encode(message))
    data[place % len(data)] ^= change
    with pytest.raises(EventStreamError):
        decode(bytes(data))


@given(st.binary(max_size=200))
def test_garbage_is_never_another_error(data: bytes) -> None:
    with pytest.raises(EventStreamError):
        decode(data)
