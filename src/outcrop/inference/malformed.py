"""Violations of a native body's schema, in the words of the validator that Bedrock uses.

`#/max_tokens: expected type: Integer, found: String`; one violation is told, several are counted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from outcrop.errors import ValidationException

_KINDS: Mapping[str, tuple[type, ...]] = {
    "JSONObject": (dict,),
    "JSONArray": (list,),
    "String": (str,),
    "Boolean": (bool,),
    "Integer": (int,),
    "Number": (int, float),
}


class Malformed(ValidationException):
    """The body does not fit the model's schema.

    `foreign`: it lacks a member that it must have, and has one that the schema does not know. It was written for another.
    """

    def __init__(self, message: str, *, foreign: bool) -> None:
        super().__init__(message)
        self.foreign = foreign


class Violations:
    """Collects. Truth says whether there are any."""

    def __init__(self) -> None:
        self._found: list[str] = []
        self._lacking = False
        self._unknown = False

    def __bool__(self) -> bool:
        return bool(self._found)

    def text(self) -> str:
        problem = self._found[0] if len(self._found) == 1 else f"{len(self._found)} schema violations found"
        return f"Malformed input request: {problem}, please reformat your input and try again."

    def raise_any(self) -> None:
        if self._found:
            raise Malformed(self.text(), foreign=self._lacking and self._unknown)

    def add(self, pointer: str, problem: str) -> None:
        self._found.append(f"{pointer}: {problem}")

    def extraneous(self, pointer: str, key: str) -> None:
        self.add(pointer, f"extraneous key [{key}] is not permitted")
        self._unknown |= pointer == "#"

    def keys(self, pointer: str, value: Mapping[str, Any], required: Collection[str], allowed: Collection[str]) -> None:
        for key in required:
            if key not in value:
                self.add(pointer, f"required key [{key}] not found")
                self._lacking |= pointer == "#"
        for key in value:
            if key not in allowed and key not in required:
                self.extraneous(pointer, key)

    def kind(self, pointer: str, value: object, *expected: str) -> bool:
        """Whether `value` is of one of the JSON types; a violation if not."""
        if any(_is(value, name) for name in expected):
            return True
        if len(expected) == 1:
            self.add(pointer, f"expected type: {expected[0]}, found: {found(value)}")
        else:
            self.add(pointer, f"expected one of: {', '.join(expected)}, found: {found(value)}")
        return False

    def integer(self, values: Mapping[str, Any], name: str, low: int, high: int | None, at: str = "#") -> int | None:
        """The integer under `name`, None if it is not given or wrong."""
        if name not in values or not self.kind(f"{at}/{name}", values[name], "Integer"):
            return None
        return int(values[name]) if self.within(f"{at}/{name}", values[name], low, high) else None

    def number(self, values: Mapping[str, Any], name: str, low: float, high: float, at: str = "#") -> float | None:
        if name not in values or not self.kind(f"{at}/{name}", values[name], "Number"):
            return None
        return float(values[name]) if self.within(f"{at}/{name}", values[name], low, high) else None

    def within(self, pointer: str, value: Any, low: float | None, high: float | None) -> bool:
        """Whether the number `value` is in its range, where it has one; a violation if not."""
        if low is not None and value < low:
            self.add(pointer, f"{value} is not greater or equal to {low}")
        elif high is not None and value > high:
            self.add(pointer, f"{value} is not less or equal to {high}")
        else:
            return True
        return False


def _is(value: object, kind: str) -> bool:
    return isinstance(value, _KINDS[kind]) and (kind == "Boolean" or not isinstance(value, bool))


def found(value: object) -> str:
    """The validator's name for the type of a JSON value."""
    if value is None:
        return "Null"
    names = {bool: "Boolean", int: "Integer", float: "BigDecimal", str: "String", list: "JSONArray", dict: "JSONObject"}
    return names.get(type(value), type(value).__name__)
