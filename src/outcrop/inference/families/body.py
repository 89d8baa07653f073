"""Opening a native body: its members, their JSON types and ranges, in the words of Bedrock's schema validator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from outcrop.errors import ValidationException
from outcrop.inference.malformed import Violations


@dataclass(frozen=True, slots=True)
class Member:
    """JSON types that the member may have (`String`, `Integer`, `Number`, ...), and what is asked of it.

    `low` and `high` are the range of a number, of a text's length in characters, or of a list's in items; `above` is a
    bound that a number must exceed. `choices` are the texts it may be, `each` is every item of a list, `inside` has the
    members of an object; without them, what is inside is the reader's to check.
    """

    kinds: tuple[str, ...]
    low: float | None = None
    high: float | None = None
    required: bool = False
    above: float | None = None
    choices: Sequence[str] = ()
    each: Member | None = None
    inside: Mapping[str, Member] | None = None


def string(
    *, required: bool = False, shortest: int | None = None, longest: int | None = None, choices: Sequence[str] = ()
) -> Member:
    return Member(("String",), shortest, longest, required, choices=choices)


def boolean() -> Member:
    return Member(("Boolean",))


def array(each: Member | None = None, *, required: bool = False, most: int | None = None, fewest: int = 0) -> Member:
    return Member(("JSONArray",), fewest, most, required, each=each)


def mapping(inside: Mapping[str, Member] | None = None, *, required: bool = False) -> Member:
    return Member(("JSONObject",), required=required, inside=inside)


def integer(low: float | None = None, high: float | None = None, *, required: bool = False) -> Member:
    return Member(("Integer",), low, high, required)


def number(low: float | None = None, high: float | None = None, *, above: float | None = None) -> Member:
    return Member(("Number",), low, high, above=above)


def opened(body: bytes, members: Mapping[str, Member]) -> dict[str, Any]:
    """The body's members that are not null. ValidationException for what is missing, unknown, or of another type."""
    found = Violations()
    given = _without_nulls(_object(body, found), members)
    check(found, "#", given, members)
    found.raise_any()
    return given


def check(found: Violations, at: str, given: Mapping[str, Any], members: Mapping[str, Member]) -> None:
    """Adds the violations of an object, which may be one within the body, at the pointer `at`."""
    found.keys(at, given, [name for name, member in members.items() if member.required], members)
    for name, value in given.items():
        if name in members:
            _check_value(found, f"{at}/{name}", value, members[name])


def _check_value(found: Violations, at: str, value: Any, member: Member) -> None:
    if not found.kind(at, value, *member.kinds) or isinstance(value, bool):
        return
    if isinstance(value, int | float):
        _check_number(found, at, value, member)
    elif isinstance(value, str):
        _check_text(found, at, value, member)
    elif isinstance(value, list):
        _check_list(found, at, value, member)
    elif member.inside is not None:
        check(found, at, value, member.inside)


def _check_number(found: Violations, at: str, value: float, member: Member) -> None:
    if member.above is not None and value <= member.above:
        found.add(at, f"{value} is not greater than {member.above}")
    else:
        found.within(at, value, member.low, member.high)


def _check_text(found: Violations, at: str, value: str, member: Member) -> None:
    if member.low is not None and len(value) < member.low:
        found.add(at, f"expected minLength: {member.low}, actual: {len(value)}")
    elif member.high is not None and len(value) > member.high:
        found.add(at, f"expected maxLength: {member.high}, actual: {len(value)}")
    elif member.choices and value not in member.choices:
        found.add(at, f"{value} is not a valid enum value")


def _check_list(found: Violations, at: str, value: list[Any], member: Member) -> None:
    if member.low is not None and len(value) < member.low:
        found.add(at, f"expected minimum item count: {member.low}, found: {len(value)}")
    elif member.high is not None and len(value) > member.high:
        found.add(at, f"expected maximum item count: {member.high}, found: {len(value)}")
    elif member.each is not None:
        for i, item in enumerate(value):
            _check_value(found, f"{at}/{i}", item, member.each)


def _without_nulls(value: Mapping[str, Any], members: Mapping[str, Member]) -> dict[str, Any]:
    """SDKs send null for what is not given. Where the members of an object are not known, null may mean something."""
    return {name: _known(item, members.get(name)) for name, item in value.items() if item is not None}


def _known(item: Any, member: Member | None) -> Any:
    if member is not None and isinstance(item, dict) and member.inside is not None:
        return _without_nulls(item, member.inside)
    if member is not None and isinstance(item, list) and member.each is not None:
        return [_known(inner, member.each) for inner in item]
    return item


def _object(body: bytes, found: Violations) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ValidationException("Malformed input request, please reformat your input and try again.") from None
    if not found.kind("#", value, "JSONObject"):
        found.raise_any()
    opened: dict[str, Any] = value
    return opened


def keys(body: bytes) -> frozenset[str]:
    """The names of the body's members, to tell forms apart; none of what is no object."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return frozenset()
    return frozenset(value) if isinstance(value, dict) else frozenset()
