"""A small value that fits a JSON schema, for answers that nobody scripted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def smallest(schema: Any, root: Any = None) -> Any:
    """A small value that is valid against a JSON schema of the subset that structured output takes."""
    root = schema if root is None else root
    if not isinstance(schema, Mapping):
        return {}
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if isinstance(reference := schema.get("$ref"), str):
        return smallest(_target(root, reference), root)
    for alternatives in ("anyOf", "oneOf"):
        if schema.get(alternatives):
            return smallest(schema[alternatives][0], root)
    if schema.get("allOf"):
        merged = [smallest(part, root) for part in schema["allOf"]]
        return {key: value for part in merged if isinstance(part, dict) for key, value in part.items()} or merged[0]
    return _of_type(schema, root)


def _of_type(schema: Mapping[str, Any], root: Any) -> Any:
    kind = schema.get("type", "object")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: smallest(properties.get(name, {}), root) for name in schema.get("required", ())}
    if kind == "array":
        return [smallest(schema.get("items", {}), root) for _ in range(schema.get("minItems", 0))]
    if kind == "string":
        return _FORMATS.get(schema.get("format", ""), "x" * schema.get("minLength", 0))
    if kind in ("integer", "number"):
        return max(schema.get("minimum", 0), 0) if schema.get("maximum", 0) >= 0 else schema["maximum"]
    return {"boolean": False, "null": None}.get(kind, {})


_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "P1D",
    "email": "a@example.com",
    "hostname": "example.com",
    "uri": "https://example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def _target(root: Any, reference: str) -> Any:
    found = root
    for part in reference.lstrip("#").lstrip("/").split("/"):
        found = found.get(part.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, Mapping) else {}
    return found
