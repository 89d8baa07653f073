"""A small value that fits a JSON schema, for answers that nobody scripted."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from outcrop.engines.enforceable import enforceable
from outcrop.engines.engine import InvalidRequest, Json
from outcrop.engines.formats import EXAMPLES, PATTERNS
from outcrop.engines.schema_size import pointed

# Parts that are made, so that a tree that grows at every step is given up.
_MOST_PARTS = 10_000
_OF_FORMATS = {f"^(?:{pattern})$" for pattern in PATTERNS.values()}


def smallest(schema: Json) -> Any:
    """A small value that is valid against the schema, but for patterns that are no format's.

    InvalidRequest for a schema that cannot be enforced (`enforceable`).
    """
    form = enforceable(schema)
    try:
        return _Maker(form).value(form)
    except (_NoValue, RecursionError):
        raise InvalidRequest("No value is known that fits the JSON schema.") from None


class _NoValue(Exception): ...


class _Maker:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._left = _MOST_PARTS

    def value(self, form: Mapping[str, Any]) -> Any:
        self._left -= 1
        if self._left < 0:
            raise _NoValue
        if "enum" in form:
            return form["enum"][0]
        if "$ref" in form:
            return self.value(pointed(self._root, form["$ref"]))
        if "anyOf" in form:
            return self._first(form["anyOf"])
        return self._of_type(form)

    def _first(self, branches: Sequence[Mapping[str, Any]]) -> Any:
        """What has no parts first: a list's end comes before its next link."""
        for branch in sorted(branches, key=_has_parts):
            with contextlib.suppress(_NoValue, RecursionError):
                return self.value(branch)
        raise _NoValue

    def _of_type(self, form: Mapping[str, Any]) -> Any:
        kind = form["type"] if isinstance(form["type"], str) else form["type"][0]
        if kind == "object":
            properties = form.get("properties", {})
            needed = [name for name in properties if name in form.get("required", ())]
            return {name: self.value(properties[name]) for name in needed}
        if kind == "array":
            first = form.get("prefixItems", [])
            items = [first[i] if i < len(first) else form["items"] for i in range(form["minItems"])]
            return [self.value(item) for item in items]
        if kind == "string":
            return _string(form)
        if kind in ("integer", "number"):
            return _number(form, whole=kind == "integer")
        return {"boolean": False, "null": None}[kind]


def _has_parts(form: Mapping[str, Any]) -> bool:
    return "enum" not in form and form.get("type") in (None, "object", "array")


def _string(form: Mapping[str, Any]) -> str:
    given = (form.get("pattern"), *(part["pattern"] for part in form.get("allOf", ())))
    patterns = [pattern for pattern in given if pattern in _OF_FORMATS]
    least, most = form.get("minLength", 0), form.get("maxLength", 1000)
    for text in EXAMPLES.values() if patterns else ["x" * least]:
        if least <= len(text) <= most and all(re.search(pattern, text) for pattern in patterns):
            return text
    raise _NoValue


def _number(form: Mapping[str, Any], *, whole: bool) -> float:
    """One within the bounds: 0 where they allow it."""
    low: float = max(form["minimum"], form.get("exclusiveMinimum", form["minimum"]))
    high: float = min(form["maximum"], form.get("exclusiveMaximum", form["maximum"]))
    step: float | None = form.get("multipleOf", 1 if whole else None)
    between = (low + high) / 2 if step is None else (low // step + 1) * step
    for value in (0, low, high, between):
        if _within(value, form) and (step is None or value % step == 0):
            return value
    return between


def _within(value: float, form: Mapping[str, Any]) -> bool:
    above = value > form["exclusiveMinimum"] if "exclusiveMinimum" in form else True
    below = value < form["exclusiveMaximum"] if "exclusiveMaximum" in form else True
    return above and below and form["minimum"] <= value <= form["maximum"]
