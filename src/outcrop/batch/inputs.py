"""The input of a batch job: which objects, whether they are what they should be, and their lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from outcrop.batch.refused import Refused, Stopped
from outcrop.objects.errors import ObjectsError
from outcrop.objects.objects import Objects, Stored, walk
from outcrop.settings import BatchSettings

SUFFIX = ".jsonl"
# Read at a time, so that nothing stays open while records are answered.
RANGE_BYTES = 4 * 1024 * 1024
# InvokeModel takes no body of more than 25,000,000 bytes.
LINE_BYTES = 32 * 1024 * 1024
MEGABYTE = 1024 * 1024


class InputFile(msgspec.Struct, frozen=True, array_like=True):
    """`name` is what its output is called by: the file's own, with the folders below the job's input."""

    uri: str
    name: str
    size: int
    etag: str
    records: int


@dataclass(frozen=True, slots=True)
class Line:
    """`number` counts from 1, blank lines too; `end` is the offset behind it."""

    number: int
    end: int
    text: bytes


class _Record(msgspec.Struct):
    modelInput: msgspec.Raw
    recordId: str | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """`given` is the text of `modelInput`, as it was written."""

    id: str | None
    given: bytes


def find(objects: Objects, uri: str) -> list[tuple[Stored, str]]:
    """The one object that `uri` names, or all `.jsonl` below it, each with its name; by their keys. Refused if there are none."""
    if uri.endswith(SUFFIX) and objects.exists(uri):
        return [(objects.head(uri), uri.rpartition("/")[2])]
    folder = uri if uri.endswith("/") else f"{uri}/"
    found = [(stored, stored.uri.removeprefix(folder)) for stored in walk(objects, folder)]
    chosen = [(stored, name) for stored, name in found if name.endswith(SUFFIX)]
    if not chosen:
        raise Refused(f"No input was found: {uri} is no {SUFFIX} file, and no folder that holds one.")
    return chosen


def validated(
    objects: Objects, found: list[tuple[Stored, str]], limits: BatchSettings, arn: str, stopping: Callable[[], bool]
) -> list[InputFile]:
    """Refused for the first thing that is wrong, with file and line. What a model thinks of a body is not asked here."""
    _check_sizes([stored for stored, _ in found], limits)
    files, total = [], 0
    for stored, name in found:
        records = 0
        for line in lines(objects, stored.uri, stored.size, stored.etag):
            if stopping():
                raise Stopped
            if line.text:
                _check_line(line, stored.uri)
                records += 1
        files.append(InputFile(stored.uri, name, stored.size, stored.etag, records))
        total += records
    if total < limits.least_records:
        raise Refused(
            f"Batch job {arn} contains less records ({total}) than the required minimum of: {limits.least_records}"
        )
    if total > limits.most_records:
        raise Refused(f"Batch job {arn} contains more records ({total}) than the maximum of: {limits.most_records}")
    return files


def lines(
    objects: Objects, uri: str, size: int, etag: str, start: int = 0, number: int = 0, piece: int = RANGE_BYTES
) -> Iterator[Line]:
    """From the offset `start`, which line `number` ends at. Refused if the object is not the one with this ETag any more."""
    left, end = b"", start
    at = start
    while at < size:
        chunk = _range(objects, uri, at, min(at + piece, size), etag)
        at += len(chunk)
        *whole, left = (left + chunk).split(b"\n")
        for text in whole:
            number, end = number + 1, end + len(text) + 1
            yield Line(number, end, _stripped(text, number))
        if len(left) > LINE_BYTES:
            raise Refused(f"{uri} line {number + 1}: The line is longer than {LINE_BYTES} bytes.")
    if left:
        yield Line(number + 1, size, _stripped(left, number + 1))


def record(line: Line) -> Record:
    """Of a line that was found valid."""
    found = msgspec.json.decode(line.text, type=_Record)
    return Record(found.recordId, bytes(found.modelInput))


def _range(objects: Objects, uri: str, start: int, stop: int, etag: str) -> bytes:
    try:
        with objects.open(uri, start, stop) as reading:
            if reading.stored.etag == etag and (chunk := reading.read()):
                return chunk
    except ObjectsError as problem:
        if problem.code not in ("NoSuchKey", "InvalidRange"):
            raise
    raise Refused(f"{uri} was changed or deleted while the job ran.")


def _stripped(text: bytes, number: int) -> bytes:
    # A byte order mark is what some editors begin a file with.
    return (text.removeprefix(b"\xef\xbb\xbf") if number == 1 else text).strip()


def _check_sizes(found: list[Stored], limits: BatchSettings) -> None:
    for stored in found:
        if stored.size > limits.file_mb * MEGABYTE:
            raise Refused(f"{stored.uri} has {stored.size} bytes; a file may have {limits.file_mb} MB.")
    total = sum(stored.size for stored in found)
    if total > limits.job_mb * MEGABYTE:
        raise Refused(f"The input has {total} bytes; that of a job may have {limits.job_mb} MB.")


def _check_line(line: Line, uri: str) -> None:
    if (problem := _problem(line.text)) is not None:
        raise Refused(f"{uri} line {line.number}: {problem}")


def _problem(text: bytes) -> str | None:
    try:
        value: Any = orjson.loads(text)
    except orjson.JSONDecodeError as problem:
        return f"The line is not valid JSON: {problem}"
    if not isinstance(value, dict):
        return "The line is not a JSON object."
    if "modelInput" not in value:
        return "The record has no modelInput."
    if not isinstance(value["modelInput"], dict):
        return "The modelInput is not a JSON object."
    given = value.get("recordId")
    if given is not None and (not isinstance(given, str) or not 0 < len(given) <= 256):
        return "The recordId is not a string of 1 to 256 characters."
    return None
