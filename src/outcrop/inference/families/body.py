"""Opening a native body: its members, their JSON types and ranges, in the words of Bedrock's schema validator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from outcrop.errors import ValidationException
from outcrop.inference.malformed import Violations


@dataclass(frozen=True, slots=True)
class Member:
    """JSON types that the member may have (`String`, `Integer`, `Number`, ...), and the range of a number."""

    kinds: tuple[str, ...]
    low: float | None = None
    high: float | None = None
    required: bool = False


def string(*, required: bool = False) -> Member:
    return Member(("String",), required=required)


def boolean() -> Member:
    return Member(("Boolean",))


def array(*, required: bool = False) -> Member:
    return Member(("JSONArray",), required=required)


def mapping(*, required: bool = False) -> Member:
    return Member(("JSONObject",), required=required)


def integer(low: float | None = None, high: float | None = None, *, required: bool = False) -> Member:
    return Member(("Integer",), low, high, required)


def number(low: float | None = None, high: float | None = None) -> Member:
    return Member(("Number",), low, high)


def opened(body: bytes, members: Mapping[str, Member]) -> dict[str, Any]:
    """The body's members that are not null. ValidationException for what is missing, unknown, or of another type."""
    found = Violations()
    value = _object(body, found)
    given = {name: item for name, item in value.items() if item is not None}
    check(found, "#", given, members)
    found.raise_any()
    return given


def check(found: Violations, at: str, given: Mapping[str, Any], members: Mapping[str, Member]) -> None:
    """Adds the violations of an object, which may be one within the body, at the pointer `at`."""
    found.keys(at, given, [name for name, member in members.items() if member.required], members)
    for name, value in given.items():
        member = members.get(name)
        if member is not None and found.kind(f"{at}/{name}", value, *member.kinds):
            found.within(f"{at}/{name}", value, member.low, member.high)


def _object(body: bytes, found: Violations) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ValidationException("Malformed input request, please reformat your input and try again.") from None
    if not found.kind("#", value, "JSONObject"):
        found.raise_any()
    opened: dict[str, Any] = value
    return opened
