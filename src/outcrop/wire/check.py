"""Constraint checks, prepared once for each shape: required, length, range, pattern, enum; every violation in one
message.

A checker takes (value, path, found) and appends to `found`. A path is a chain of pairs, (outer path, step), because
most are never looked at: making one is a tuple, not a string. Shapes with nothing to check have no checker at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from outcrop.errors import ValidationException
from outcrop.wire.patterns import matcher
from outcrop.wire.read import INTEGER_RANGES, ShapeDict, dotted

Path = tuple[Any, str | int] | None
Checker = Callable[[Any, Path, "list[Violation]"], None]

# Past these, a hostile request would be answered with more than it sent.
MAX_LISTED = 100
MAX_ECHO = 1024

_NUMBERS = {*INTEGER_RANGES, "float", "double"}
_SCALARS = _NUMBERS | {"string", "character", "blob"}


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken constraint. `value` is None where it must not be echoed (absent, sensitive, or a structure)."""

    path: tuple[str | int, ...]
    constraint: str
    value: str | None = None

    def __str__(self) -> str:
        value = "Value" if self.value is None else f"Value '{self.value}'"
        return f"{value} at '{dotted(self.path)}' failed to satisfy constraint: {self.constraint}"


def raise_violations(found: list[Violation]) -> None:
    """A ValidationException in AWS's words if anything was found."""
    if not found:
        return
    count = f"{len(found)} validation error{'s' if len(found) > 1 else ''} detected"
    listed = "; ".join(map(str, found[:MAX_LISTED]))
    raise ValidationException(f"{count}: {listed}" + ("; ..." if len(found) > MAX_LISTED else ""))


def steps(path: Path) -> tuple[str | int, ...]:
    """A chain of pairs as a plain tuple, outermost first."""
    result: list[str | int] = []
    while path is not None:
        path, step = path
        result.append(step)
    return tuple(reversed(result))


def echo(value: object) -> str:
    """A value as AWS's messages show it (Java's way), cut at a length."""
    if isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, bytes):
        text = f"<{len(value)} bytes>"
    elif isinstance(value, list):
        text = f"[{', '.join(map(echo, value[:MAX_LISTED]))}]"
    elif isinstance(value, dict):
        text = "{" + ", ".join(f"{key}={echo(item)}" for key, item in list(value.items())[:MAX_LISTED]) + "}"
    else:
        text = str(value)
    return text if len(text) <= MAX_ECHO else text[:MAX_ECHO] + "..."


def _report(value: object, path: Path, sensitive: bool, constraint: str) -> Violation:
    return Violation(steps(path), constraint, None if sensitive else echo(value))


def bounds(shape: ShapeDict) -> tuple[float | None, float | None]:
    return shape.get("min"), shape.get("max")


def length_checker(low: float | None, high: float | None, sensitive: bool) -> Checker:
    """Characters of a string (code points), bytes of a blob, items of a list, keys of a map."""

    def check_length(value: Any, path: Path, found: list[Violation]) -> None:
        size = len(value)
        if low is not None and size < low:
            found.append(_report(value, path, sensitive, f"Member must have length greater than or equal to {low:.0f}"))
        elif high is not None and size > high:
            found.append(_report(value, path, sensitive, f"Member must have length less than or equal to {high:.0f}"))

    return check_length


def range_checker(low: float | None, high: float | None, sensitive: bool) -> Checker:
    def check_range(value: Any, path: Path, found: list[Violation]) -> None:
        if low is not None and not value >= low:
            found.append(_report(value, path, sensitive, f"Member must have value greater than or equal to {low}"))
        elif high is not None and not value <= high:
            found.append(_report(value, path, sensitive, f"Member must have value less than or equal to {high}"))

    return check_range


def enum_checker(values: list[str], sensitive: bool) -> Checker:
    known = frozenset(values)
    constraint = f"Member must satisfy enum value set: [{', '.join(values)}]"

    def check_enum(value: Any, path: Path, found: list[Violation]) -> None:
        if value not in known:
            found.append(_report(value, path, sensitive, constraint))

    return check_enum


def pattern_checker(pattern: str, longest: float | None, sensitive: bool) -> Checker:
    matches = matcher(pattern)

    def check_pattern(value: Any, path: Path, found: list[Violation]) -> None:
        # A value that is too long is reported for that alone: a pattern is only safe on the lengths it was made for.
        if (longest is None or len(value) <= longest) and not matches(value):
            constraint = f"Member must satisfy regular expression pattern: {pattern}"
            found.append(_report(value, path, sensitive, constraint))

    return check_pattern


def all_of(checkers: list[Checker]) -> Checker | None:
    if len(checkers) < 2:
        return checkers[0] if checkers else None

    def check_all(value: Any, path: Path, found: list[Violation]) -> None:
        for checker in checkers:
            checker(value, path, found)

    return check_all


def items_checker(item: Checker) -> Checker:
    def check_items(value: Any, path: Path, found: list[Violation]) -> None:
        for at, element in enumerate(value):
            if element is not None:
                item(element, (path, at), found)

    return check_items


def entries_checker(key: Checker | None, item: Checker | None) -> Checker:
    """Keys are reported at the map's own path."""

    def check_entries(value: Any, path: Path, found: list[Violation]) -> None:
        for name, element in value.items():
            if key is not None:
                key(name, path, found)
            if item is not None and element is not None:
                item(element, (path, name), found)

    return check_entries


def structure_checker(required: frozenset[str], members: Mapping[str, Checker]) -> Checker:
    find = members.get
    present = required.issubset

    def check_structure(value: Any, path: Path, found: list[Violation]) -> None:
        if required and not present(value):
            absent = sorted(required.difference(value))
            found.extend(Violation((*steps(path), name), "Member must not be null") for name in absent)
        for name, element in value.items():
            if (checker := find(name)) is not None:
                checker(element, (path, name), found)

    return check_structure


# An enum that Bedrock itself does not hold anybody to: its own examples have the task type General. The operation checks it.
OPEN = "EvaluationTaskType"


class Checkers:
    """The checkers of one service's shapes, made on demand and kept."""

    def __init__(self, shapes: Mapping[str, ShapeDict]) -> None:
        self._shapes = shapes
        self._open = shapes.get(OPEN)
        self._made: dict[tuple[str, bool], Checker | None] = {}

    def of(self, reference: ShapeDict) -> Checker | None:
        """The checker of `{"shape": NAME}`, None where there is nothing to check."""
        name: str = reference["shape"]
        sensitive = bool(reference.get("sensitive"))
        if (name, sensitive) not in self._made:

            def later(value: Any, path: Path, found: list[Violation]) -> None:
                if (checker := self._made[name, sensitive]) is not None:
                    checker(value, path, found)

            self._made[name, sensitive] = later  # for shapes that hold themselves
            self._made[name, sensitive] = self._make(self._shapes[name], sensitive)
        return self._made[name, sensitive]

    def _make(self, shape: ShapeDict, sensitive: bool) -> Checker | None:
        sensitive = sensitive or bool(shape.get("sensitive"))
        kind = shape["type"]
        if kind == "structure":
            return self.of_structure(shape)
        checkers = self._scalar(shape, kind, sensitive) if kind in _SCALARS else []
        if kind in ("list", "map"):
            if bounds(shape) != (None, None):
                checkers.append(length_checker(*bounds(shape), sensitive or not self._may_echo(shape)))
            checkers += self._contents(shape, kind, sensitive)
        return all_of(checkers)

    def _scalar(self, shape: ShapeDict, kind: str, sensitive: bool) -> list[Checker]:
        checkers: list[Checker] = []
        if bounds(shape) != (None, None):
            make = range_checker if kind in _NUMBERS else length_checker
            checkers.append(make(*bounds(shape), sensitive))
        if "enum" in shape and shape is not self._open:
            checkers.append(enum_checker(shape["enum"], sensitive))
        if "pattern" in shape:
            checkers.append(pattern_checker(shape["pattern"], shape.get("max"), sensitive))
        return checkers

    def _may_echo(self, shape: ShapeDict) -> bool:
        """Whether a list or map may be shown: it holds no structures and nothing sensitive."""
        held = [self._shapes[shape[part]["shape"]] for part in ("member", "key", "value") if part in shape]
        return all(inner["type"] in _SCALARS and not inner.get("sensitive") for inner in held)

    def _contents(self, shape: ShapeDict, kind: str, sensitive: bool) -> list[Checker]:
        inherit = {"sensitive": True} if sensitive else {}
        if kind == "list":
            item = self.of({**shape["member"], **inherit})
            return [] if item is None else [items_checker(item)]
        key, value = self.of({**shape["key"], **inherit}), self.of({**shape["value"], **inherit})
        return [] if key is None and value is None else [entries_checker(key, value)]

    def of_structure(self, shape: ShapeDict) -> Checker | None:
        """The checker of a structure that is given itself, not by its name."""
        if shape.get("document") or shape.get("eventstream"):
            return None
        required = frozenset(shape.get("required", ()))
        found = ((name, self.of(member)) for name, member in shape["members"].items())
        members = {name: checker for name, checker in found if checker is not None}
        return structure_checker(required, members) if required or members else None
