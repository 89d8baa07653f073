"""A small value that fits a JSON schema, for answers that nobody scripted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from outcrop.engines.enforceable import enforceable
from outcrop.engines.engine import InvalidRequest, Json
from outcrop.engines.formats import EXAMPLES, PATTERNS

_DEEPEST = 32
_OF_FORMATS = {f"^(?:{pattern})$" for pattern in PATTERNS.values()}


def smallest(schema: Json) -> Any:
    """A small value that is valid against the schema, but for patterns that are no format's.

    InvalidRequest for a schema that cannot be enforced (`enforceable`).
    """
    form = enforceable(schema)
    try:
        return _Maker(form).value(form, 0)
    except _NoValue:
        raise InvalidRequest("No value is known that fits the JSON schema.") from None


class _NoValue(Exception): ...


class _Maker:
    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root

    def value(self, form: Mapping[str, Any], depth: int) -> Any:
        if depth > _DEEPEST:
            raise _NoValue
        if "enum" in form:
            return form["enum"][0]
        if "$ref" in form:
            return self.value(_target(self._root, form["$ref"]), depth + 1)
        if "anyOf" in form:
            return self._first(form["anyOf"], depth)
        return self._of_type(form, depth)

    def _first(self, branches: Any, depth: int) -> Any:
        for branch in branches[:-1]:
            try:
                return self.value(branch, depth + 1)
            except _NoValue:
                continue
        return self.value(branches[-1], depth + 1)

    def _of_type(self, form: Mapping[str, Any], depth: int) -> Any:
        kind = form["type"] if isinstance(form["type"], str) else form["type"][0]
        if kind == "object":
            properties = form.get("properties", {})
            needed = [name for name in properties if name in form.get("required", ())]
            return {name: self.value(properties[name], depth + 1) for name in needed}
        if kind == "array":
            first = form.get("prefixItems", [])
            items = [first[i] if i < len(first) else form["items"] for i in range(form["minItems"])]
            return [self.value(item, depth + 1) for item in items]
        if kind == "string":
            return _string(form)
        if kind in ("integer", "number"):
            return _number(form, whole=kind == "integer")
        return {"boolean": False, "null": None}[kind]


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


def _target(root: Any, reference: str) -> Any:
    found = root
    for part in reference.removeprefix("#").split("/")[1:]:
        key = unquote(part).replace("~1", "/").replace("~0", "~")
        found = found[int(key)] if isinstance(found, list) else found[key]
    return found
