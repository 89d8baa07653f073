"""outputConfig: a JSON schema that the answer must fit, and the part of JSON Schema that may be asked for.

The subset is Bedrock's (user guide, "Structured output"): what is outside of it is refused at once,
never half enforced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from outcrop.engines.schema_size import pointed
from outcrop.errors import ValidationException
from outcrop.inference.failures import ModelRefused
from outcrop.models.model import Model
from outcrop.shapes.bedrock_runtime import OutputConfig

TYPES = ("object", "array", "string", "integer", "number", "boolean", "null")
FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)  # fmt: skip
_ANNOTATIONS = frozenset({"$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated"})
_KEYWORDS = _ANNOTATIONS | {
    "type", "enum", "const", "anyOf", "allOf", "$ref", "$defs", "definitions", "properties", "required",
    "additionalProperties", "items", "minItems", "format",
}  # fmt: skip
DEEPEST = 64


def schema_of(config: OutputConfig | None, model: Model) -> Mapping[str, Any] | None:
    """The schema to hold the answer to, or None."""
    if config is None:
        return None
    if "effort" in config:
        raise ValidationException(
            "This model doesn't support the outputConfig.effort field. Remove outputConfig.effort and try again."
        )
    if "textFormat" not in config:
        return None
    text = config["textFormat"]["structure"].get("jsonSchema", {}).get("schema", "")
    try:
        schema = orjson.loads(text)
    except orjson.JSONDecodeError as problem:
        raise ValidationException(
            f"The value at outputConfig.textFormat.structure.jsonSchema.schema is not valid JSON: {problem}"
        ) from None
    return checked(schema, "outputConfig.textFormat.structure.jsonSchema.schema", model)


def native_schema_of(config: Mapping[str, Any], model: Model) -> Mapping[str, Any] | None:
    """The same of Claude's own `output_config`, in a Messages body or among additionalModelRequestFields."""
    if "effort" in config:
        raise ValidationException("output_config.effort: This model doesn't support the effort parameter.")
    output = config.get("format")
    if output is None:
        return None
    if not isinstance(output, dict) or output.get("type") != "json_schema":
        raise ValidationException("output_config.format.type: Input should be 'json_schema'")
    return checked(output.get("schema"), "output_config.format.schema", model)


def checked(schema: object, where: str, model: Model) -> Mapping[str, Any]:
    if not model.capabilities.json_schema:
        raise ValidationException("This model doesn't support structured output.")
    if not isinstance(schema, dict):
        raise ValidationException(f"The value at {where} must be a JSON object.")
    check_schema(schema, where)
    return schema


def check_schema(schema: Mapping[str, Any], where: str) -> None:
    """ValidationException for a keyword, type or reference outside of the subset."""
    problem = next(_Check(schema).problems(schema, where, frozenset(), 0), None)
    if problem is not None:
        raise ModelRefused(problem)


class _Check:
    """One walk. What a $ref points to is walked once, or a few lines of schema could take for ever."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._sound: set[str] = set()

    def problems(self, schema: Any, where: str, within: frozenset[str], depth: int) -> Iterator[str]:
        """`within`: the references that led here."""
        if depth > DEEPEST:
            yield f"{where}: the schema is nested too deeply"
        elif not isinstance(schema, dict):
            yield f"{where}: a schema must be a JSON object"
        else:
            yield from _own_problems(schema, where)
            yield from self._reference(schema.get("$ref"), where, within, depth)
            for name, inner in _children(schema):
                yield from self.problems(inner, f"{where}.{name}", within, depth + 1)

    def _reference(self, reference: object, where: str, within: frozenset[str], depth: int) -> Iterator[str]:
        if reference is None:
            return
        if not isinstance(reference, str) or (reference != "#" and not reference.startswith("#/")):
            yield f"{where}: external $ref is not supported"
        elif reference in self._sound:
            return
        elif reference in within or reference == "#":
            yield f"{where}: recursive schemas are not supported"
        elif (target := pointed(self._root, reference)) is None:
            yield f"{where}: $ref {reference} points nowhere"
        else:
            yield from self.problems(target, f"{where}.$ref", within | {reference}, depth + 1)
            self._sound.add(reference)


def _own_problems(schema: Mapping[str, Any], where: str) -> Iterator[str]:
    kind = schema.get("type")
    for keyword in schema:
        if keyword not in _KEYWORDS:
            what = f"For '{kind}' type, property" if isinstance(kind, str) else "Property"
            yield f"{where}: {what} '{keyword}' is not supported"
    kinds = kind if isinstance(kind, list) else [kind]
    if "type" in schema and not (kinds and all(k in TYPES for k in kinds)):
        yield f"{where}: type {orjson.dumps(kind).decode()} is not supported"
    if schema.get("additionalProperties", False) is not False:
        yield f"{where}: For 'object' type, 'additionalProperties' must be explicitly set to false"
    least = schema.get("minItems", 0)
    if type(least) is not int or least not in (0, 1):
        yield f"{where}: For 'array' type, 'minItems' values other than 0 or 1 are not supported"
    if "format" in schema and not (isinstance(schema["format"], str) and schema["format"] in FORMATS):
        yield f"{where}: format {orjson.dumps(schema['format']).decode()} is not supported"
    yield from _misshapen(schema, where)


def _misshapen(schema: Mapping[str, Any], where: str) -> Iterator[str]:
    for keyword, expected in _SHAPES.items():
        if keyword in schema and not isinstance(schema[keyword], expected):
            yield f"{where}: '{keyword}' must be {'an object' if expected is dict else 'an array'}"
        elif keyword in ("enum", "anyOf", "allOf") and schema.get(keyword) == []:
            yield f"{where}: '{keyword}' must not be empty"
    values = schema.get("enum", [])
    if isinstance(values, list) and any(isinstance(value, dict | list) for value in values):
        yield f"{where}: 'enum' may hold strings, numbers, booleans and null only"
    required = schema.get("required", [])
    if isinstance(required, list) and not all(isinstance(name, str) for name in required):
        yield f"{where}: 'required' must be an array of strings"


_SHAPES: Mapping[str, type] = {
    "properties": dict, "$defs": dict, "definitions": dict, "required": list, "enum": list, "anyOf": list,
    "allOf": list,
}  # fmt: skip


def _children(schema: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Sub-schemas, those in $defs too: not every engine passes over a definition that nothing refers to."""
    for keyword in ("properties", "$defs", "definitions"):
        if isinstance(named := schema.get(keyword), dict):
            yield from ((f"{keyword}.{name}", inner) for name, inner in named.items())
    if "items" in schema:
        yield "items", schema["items"]
    for keyword in ("anyOf", "allOf"):
        if isinstance(inner := schema.get(keyword), list):
            yield from ((f"{keyword}.{n}", part) for n, part in enumerate(inner))
