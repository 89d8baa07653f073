"""Readers of JSON values: one function for each shape, made once, from what orjson gives to what operations get.

A structure's reader drops null and unknown members and turns blobs into bytes, timestamps into aware datetimes. What
does not fit the shape raises `Mismatch`, which collects its path on the way out, so that the path costs nothing while
all is well.
"""

from __future__ import annotations

import binascii
import math
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from outcrop.wire import timestamps

Reader = Callable[[Any], Any]
ShapeDict = Mapping[str, Any]

# What an integer type holds, by the name that service models give it.
INTEGER_RANGES: dict[str, tuple[int, int]] = {
    "byte": (-(2**7), 2**7 - 1),
    "short": (-(2**15), 2**15 - 1),
    "integer": (-(2**31), 2**31 - 1),
    "long": (-(2**63), 2**63 - 1),
}
FLOAT_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_FLOAT_MAX = 3.4028235677973366e38  # the first value that no longer rounds to a 32-bit float


class Mismatch(Exception):
    """A value that is not of its shape's type. `path` is innermost first until `where` turns it round."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text
        self.path: list[str | int] = []

    def where(self) -> str:
        return dotted(tuple(reversed(self.path)))


def dotted(path: tuple[str | int, ...]) -> str:
    """A path in AWS's notation: `messages.1.member.role` (list positions count from 1)."""
    return ".".join(f"{step + 1}.member" if isinstance(step, int) else step for step in path)


def unexpected(value: object, wanted: str) -> Mismatch:
    """AWS's words for a JSON value of the wrong kind."""
    if isinstance(value, dict):
        return Mismatch("Start of structure or map found where not expected")
    if isinstance(value, list):
        return Mismatch("Start of list found where not expected")
    if isinstance(value, bool):
        given = "TRUE_VALUE" if value else "FALSE_VALUE"
    elif value is None:
        given = "NULL_VALUE"
    else:
        given = "STRING_VALUE" if isinstance(value, str) else "NUMBER_VALUE"
    return Mismatch(f"{given} can not be converted to {wanted}")


def read_string(value: Any) -> str:
    if type(value) is not str:
        raise unexpected(value, "a String")
    return value


def read_boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise unexpected(value, "a Boolean")
    return value


def integer_reader(kind: str) -> Reader:
    low, high = INTEGER_RANGES[kind]
    wanted = f"{'an' if kind == 'integer' else 'a'} {kind.capitalize()}"

    def read_integer(value: Any) -> int:
        if type(value) is float and value.is_integer():
            value = int(value)  # 1.0 is an integer in JSON
        if type(value) is not int:
            raise unexpected(value, wanted)
        if not low <= value <= high:
            raise Mismatch(f"NUMBER_VALUE is out of range for {wanted}")
        return value

    return read_integer


def read_double(value: Any) -> float:
    if type(value) is float:
        return value
    if type(value) is int:
        return float(value)
    if type(value) is str and value in FLOAT_WORDS:
        return FLOAT_WORDS[value]
    raise unexpected(value, "a Double")


def read_float(value: Any) -> float:
    number = read_double(value)
    if abs(number) >= _FLOAT_MAX and not math.isinf(number):
        raise Mismatch("NUMBER_VALUE is out of range for a Float")
    return number


def read_blob(value: Any) -> bytes:
    if type(value) is not str:
        raise unexpected(value, "a Blob")
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except ValueError:
        raise Mismatch("The value is not valid base64") from None


def read_document(value: Any) -> Any:
    return value


def read_epoch(value: Any) -> datetime:
    if type(value) is not int and type(value) is not float:
        raise unexpected(value, "a Timestamp")
    try:
        return timestamps.from_epoch(value)
    except ValueError as error:
        raise Mismatch(str(error)) from None


def text_timestamp_reader(parse: Callable[[str], datetime]) -> Reader:
    def read_timestamp(value: Any) -> datetime:
        try:
            return parse(read_string(value))
        except ValueError as error:
            raise Mismatch(str(error)) from None

    return read_timestamp


TIMESTAMP_READERS: dict[str, Reader] = {
    "unixTimestamp": read_epoch,
    "iso8601": text_timestamp_reader(timestamps.from_date_time),
    "rfc822": text_timestamp_reader(timestamps.from_http_date),
}


def list_reader(item: Reader, sparse: bool) -> Reader:
    def read_list(value: Any) -> list[Any]:
        if type(value) is not list:
            raise unexpected(value, "a List")
        if None in value and not sparse:
            mismatch = Mismatch("NULL_VALUE found in a list that holds no nulls")
            mismatch.path.append(value.index(None))
            raise mismatch
        result: list[Any] = []
        try:
            for element in value:
                result.append(None if element is None else item(element))  # noqa: PERF401 - its length is the position
        except Mismatch as mismatch:
            mismatch.path.append(len(result))
            raise
        return result

    return read_list


def map_reader(item: Reader, sparse: bool) -> Reader:
    def read_map(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise unexpected(value, "a Map")
        result: dict[str, Any] = {}
        key = ""
        try:
            for key, element in value.items():
                if element is None and not sparse:
                    raise Mismatch("NULL_VALUE found in a map that holds no nulls")
                result[key] = None if element is None else item(element)
        except Mismatch as mismatch:
            mismatch.path.append(key)
            raise
        return result

    return read_map


def structure_reader(members: Mapping[str, tuple[str, Reader]]) -> Reader:
    """`members`: name on the wire → (name in the request dict, reader)."""
    find = members.get

    def read_structure(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise unexpected(value, "a Structure")
        result: dict[str, Any] = {}
        key = ""
        try:
            for key, element in value.items():
                if element is None or (member := find(key)) is None:
                    continue
                name, reader = member
                # Strings are most of the leaves: looking at the type here saves a call for each.
                result[name] = element if reader is read_string and type(element) is str else reader(element)
        except Mismatch as mismatch:
            mismatch.path.append(key)
            raise
        return result

    return read_structure


def union_reader(members: Mapping[str, tuple[str, Reader]]) -> Reader:
    """Exactly one member; nulls count as absent, unknown members as set (dropping one would change what was asked)."""
    find = members.get

    def read_union(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise unexpected(value, "a Union")
        given = [key for key, element in value.items() if element is not None and key != "__type"]
        if len(given) != 1:
            raise Mismatch(f"Unions must have exactly one member set, not {len(given)}")
        key = given[0]
        if (member := find(key)) is None:
            mismatch = Mismatch("Unknown union member")
            mismatch.path.append(key)
            raise mismatch
        name, reader = member
        try:
            return {name: reader(value[key])}
        except Mismatch as mismatch:
            mismatch.path.append(key)
            raise

    return read_union


class JsonReaders:
    """The readers of one service's shapes, made on demand and kept."""

    def __init__(self, shapes: Mapping[str, ShapeDict]) -> None:
        self._shapes = shapes
        self._made: dict[tuple[str, str], Reader] = {}

    def of(self, reference: ShapeDict) -> Reader:
        """The reader for a reference: `{"shape": NAME, ...}` as members and lists hold it."""
        name: str = reference["shape"]
        shape = self._shapes[name]
        form = timestamp_format(reference, shape, "unixTimestamp")
        reader = self._made.get((name, form))
        if reader is None:
            self._made[name, form] = lambda value: self._made[name, form](value)  # for shapes that hold themselves
            reader = self._made[name, form] = self._make(shape, form)
        return reader

    def _make(self, shape: ShapeDict, form: str) -> Reader:
        kind = shape["type"]
        if kind == "structure":
            return self._structure(shape)
        if kind == "list":
            return list_reader(self.of(shape["member"]), shape.get("sparse", False))
        if kind == "map":
            return map_reader(self.of(shape["value"]), shape.get("sparse", False))
        if kind in INTEGER_RANGES:
            return integer_reader(kind)
        return TIMESTAMP_READERS[form] if kind == "timestamp" else _SCALARS[kind]

    def _structure(self, shape: ShapeDict) -> Reader:
        if shape.get("document"):
            return read_document
        return (union_reader if shape.get("union") else structure_reader)(self.members(shape, shape["members"]))

    def members(self, shape: ShapeDict, names: Mapping[str, Any]) -> dict[str, tuple[str, Reader]]:
        """The given members of a structure by their wire names."""
        found = ((name, shape["members"][name]) for name in names)
        return {member.get("locationName", name): (name, self.of(member)) for name, member in found}


_SCALARS: dict[str, Reader] = {
    "string": read_string,
    "character": read_string,
    "boolean": read_boolean,
    "float": read_float,
    "double": read_double,
    "blob": read_blob,
}


def timestamp_format(reference: ShapeDict, shape: ShapeDict, default: str) -> str:
    """The member's own format, else its shape's, else that of the place it stands in."""
    if shape["type"] != "timestamp":
        return ""
    form: str = reference.get("timestampFormat") or shape.get("timestampFormat") or default
    return form
