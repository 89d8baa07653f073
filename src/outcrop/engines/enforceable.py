"""JSON schemas in a form that a constrained decoder enforces completely.

What fits the form fits the schema; the reverse is given up where a decoder needs bounds or a closed set of names: numbers lie
within a quintillion, and an object that declares properties has no others. A schema that has no such form is refused.

The work is done by the canonical form of `jsonschema_rs`: references beside other keywords, allOf, conditions and
exclusive alternatives are gone from it, and what no value can fit is known to be so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import jsonschema_rs
from jsonschema_rs.canonical import CanonicalizationError, Satisfiability

from outcrop.engines.engine import InvalidRequest, Json
from outcrop.engines.formats import PATTERNS
from outcrop.engines.schema_size import check_size

# Exact as a double, and no parser that reads doubles overflows on it.
LARGEST = 10**18
_LARGEST_EXACT = 2**53
# A decoder counts items by a rule for each.
MOST_ITEMS = 1000
_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLES = (
    "items", "additionalProperties", "additionalItems", "unevaluatedItems", "unevaluatedProperties", "contains", "propertyNames",
    "not", "if", "then", "else",
)  # fmt: skip
_ANNOTATIONS = frozenset({"$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated"})
_ANNOTATIONS |= {"readOnly", "writeOnly", "format"}
_BY_TYPE: Mapping[str, frozenset[str]] = {
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "allOf"}),
    "array": frozenset({"items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems"}),
    "object": frozenset({"properties", "required", "propertyNames", "additionalProperties"}),
}
_KEYWORDS = frozenset({"type", "$defs", "definitions"}).union(*_BY_TYPE.values())
_ANY_NAME = "any-json-value"
_NEVER: dict[str, Any] = {"not": {}}


def enforceable(schema: Json) -> dict[str, Any]:
    """The form. InvalidRequest if the schema is none, cannot be enforced, or if no value fits it."""
    check_size(schema)
    try:
        canonical = jsonschema_rs.canonicalize(_with_patterns(schema), offline=True)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, CanonicalizationError) as problem:
        raise InvalidRequest(f"The JSON schema is not valid: {str(problem).partition(chr(10))[0]}") from None
    if canonical.satisfiability() == Satisfiability.NO:
        raise InvalidRequest("No value can fit the JSON schema.")
    form = _Form(_order(schema)).of(canonical.to_json_schema())
    if form == _NEVER:
        raise InvalidRequest("No value that can be written fits the JSON schema.")
    definitions = {**form.get("$defs", {}), _ANY_NAME: _any()}
    return {**form, "$defs": definitions}


class _Form:
    """`order`: property names as the schema has them, which the canonical form sorts; a model writes them in this order."""

    def __init__(self, order: Mapping[str, int]) -> None:
        self._order = order

    def of(self, node: Any) -> dict[str, Any]:
        if isinstance(node, bool):
            return {"$ref": f"#/$defs/{_ANY_NAME}"} if node else _NEVER
        said = {key: value for key, value in node.items() if key not in _ANNOTATIONS}
        kept = {key: self._named(said.pop(key)) for key in ("$defs", "definitions") if key in said}
        return {**self._plain(said), **kept}

    def _plain(self, said: Mapping[str, Any]) -> dict[str, Any]:
        if not said:
            return {"$ref": f"#/$defs/{_ANY_NAME}"}
        if said.keys() == {"$ref"}:
            return _reference(said["$ref"])
        if said.keys() == {"anyOf"}:
            branches = [form for form in map(self.of, said["anyOf"]) if form != _NEVER]
            return {"anyOf": branches} if branches else _NEVER
        if said.keys() in ({"const"}, {"enum"}):
            values = [said["const"]] if "const" in said else said["enum"]
            for value in values:
                _check_numbers(value)
            return {"enum": values}
        return self._typed(said)

    def _typed(self, said: Mapping[str, Any]) -> dict[str, Any]:
        for keyword in said:
            if keyword not in _KEYWORDS:
                raise InvalidRequest(f"The JSON schema's '{keyword}' cannot be enforced.")
        kinds = said.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if not kinds:
            raise InvalidRequest(f"The JSON schema's {', '.join(map(repr, said))} cannot be enforced together.")
        form: dict[str, Any] = {"type": kinds[0] if len(kinds) == 1 else kinds}
        for kind in kinds:
            part = self._of_kind(kind, said)
            if part == _NEVER:
                return _NEVER
            form.update(part)
        return form

    def _of_kind(self, kind: str, said: Mapping[str, Any]) -> dict[str, Any]:
        if kind in ("integer", "number"):
            return _numeric(said)
        if kind == "string":
            return _string(said)
        if kind == "array":
            return self._array(said)
        return self._object(said) if kind == "object" else {}

    def _array(self, said: Mapping[str, Any]) -> dict[str, Any]:
        items = said.get("items", True)
        # Up to draft 7 the first items are a list there.
        listed, others = (items, said.get("additionalItems", True)) if isinstance(items, list) else ([], items)
        first = [self.of(item) for item in said.get("prefixItems", listed)]
        least, most = said.get("minItems", 0), said.get("maxItems")
        # Nothing may stand from the first place on that nothing fits.
        closed_at = next((place for place, form in enumerate(first) if form == _NEVER), None)
        items = self.of(others)
        if closed_at is None and items == _NEVER:
            closed_at = len(first)
        if closed_at is not None:
            first, items = first[:closed_at], {"$ref": f"#/$defs/{_ANY_NAME}"}
            most = closed_at if most is None else min(most, closed_at)
        if most is not None and least > most:
            return _NEVER
        if least > MOST_ITEMS:
            raise InvalidRequest(f"The JSON schema's 'minItems' of more than {MOST_ITEMS} cannot be enforced.")
        most = None if most is None else min(most, MOST_ITEMS)
        if said.get("uniqueItems") and (most is None or most > 1):
            raise InvalidRequest("The JSON schema's 'uniqueItems' cannot be enforced.")
        form: dict[str, Any] = {"items": items, "minItems": least}
        return form | ({"prefixItems": first} if first else {}) | ({} if most is None else {"maxItems": most})

    def _object(self, said: Mapping[str, Any]) -> dict[str, Any]:
        declared, required = said.get("properties", {}), said.get("required", [])
        names = list(dict.fromkeys((*declared, *required)))
        if "propertyNames" in said:
            names = _allowed(said["propertyNames"])
        elif not names:
            others = self.of(said.get("additionalProperties", True))
            return {"additionalProperties": False if others == _NEVER else others}
        names.sort(key=lambda name: self._order.get(name, len(self._order)))
        others = said.get("additionalProperties", True)
        properties = {name: self.of(declared.get(name, others)) for name in names}
        properties = {name: form for name, form in properties.items() if form != _NEVER}
        if not properties.keys() >= set(required):
            return _NEVER
        return {"properties": properties, "required": required, "additionalProperties": False}

    def _named(self, definitions: Mapping[str, Any]) -> dict[str, Any]:
        return {name: self.of(definition) for name, definition in definitions.items()}


def _reference(target: str) -> dict[str, Any]:
    if not target.startswith("#"):
        raise InvalidRequest(f"The JSON schema's $ref {target} cannot be followed.")
    return {"$ref": target}


def _allowed(names: Any) -> list[str]:
    if isinstance(names, dict) and names.keys() == {"const"}:
        return [names["const"]]
    if isinstance(names, dict) and names.keys() == {"enum"}:
        return list(names["enum"])
    if names is False:
        return []
    raise InvalidRequest("The JSON schema's 'propertyNames' cannot be enforced.")


def _numeric(said: Mapping[str, Any]) -> dict[str, Any]:
    """Bounds always: without them a model may write 1e999, which no parser reads as a number."""
    form: dict[str, Any] = {key: said[key] for key in _BY_TYPE["number"] if key in said}
    form["minimum"] = max(said.get("minimum", -LARGEST), -LARGEST)
    form["maximum"] = min(said.get("maximum", LARGEST), LARGEST)
    low, high = form.get("exclusiveMinimum", -LARGEST - 1), form.get("exclusiveMaximum", LARGEST + 1)
    if form["minimum"] > form["maximum"] or low >= high or low >= form["maximum"] or high <= form["minimum"]:
        return _NEVER
    if low < -LARGEST:
        form.pop("exclusiveMinimum", None)
    if high > LARGEST:
        form.pop("exclusiveMaximum", None)
    _check_numbers(form)
    return form


def _string(said: Mapping[str, Any]) -> dict[str, Any]:
    form = {key: said[key] for key in ("minLength", "maxLength") if key in said}
    patterns = [said["pattern"]] if "pattern" in said else []
    for part in said.get("allOf", ()):
        if not isinstance(part, dict) or part.keys() - {"type"} != {"pattern"}:
            raise InvalidRequest("The JSON schema's 'allOf' cannot be enforced.")
        patterns.append(part["pattern"])
    if patterns:
        form["pattern"] = portable(patterns[0])
    if len(patterns) > 1:
        form["allOf"] = [{"pattern": portable(pattern)} for pattern in patterns[1:]]
    return form


_SPACES = r" \t\n\r\f\v\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_CLASSES = {"d": "0-9", "w": "A-Za-z0-9_", "s": _SPACES}


def portable(pattern: str) -> str:
    r"""The pattern with what \d, \w, \s and . mean in ECMAScript; elsewhere they take more, or less, of Unicode."""
    made, inside, place = "", False, 0
    while place < len(pattern):
        character = pattern[place]
        if character == "\\" and place + 1 < len(pattern):
            escaped = pattern[place + 1]
            made += _escape(escaped, inside=inside)
            place += 2
            continue
        if character in "[]":
            inside = character == "["
        made += r"[^\n\r\u2028\u2029]" if character == "." and not inside else character
        place += 1
    return made


def _escape(letter: str, *, inside: bool) -> str:
    known = _CLASSES.get(letter.lower())
    if known is None or (inside and letter.isupper()):
        return f"\\{letter}"
    if inside:
        return known
    return f"[^{known}]" if letter.isupper() else f"[{known}]"


def _check_numbers(value: Any) -> None:
    """Decoders count in doubles, and llguidance reads one exactly where its digits and its power of ten are exact themselves."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            _check_numbers(inner)
    elif type(value) is int and abs(value) > _LARGEST_EXACT and (abs(value) > LARGEST or int(float(value)) != value):
        raise InvalidRequest(f"The JSON schema's number {value} is too large to be enforced.")
    elif isinstance(value, float):
        _, digits, exponent = Decimal(repr(value)).as_tuple()
        if int("".join(map(str, digits))) > _LARGEST_EXACT or not -22 <= int(exponent) <= 22:
            raise InvalidRequest(f"The JSON schema's number {value} has too many digits to be enforced.")


def _any() -> dict[str, Any]:
    same = {"$ref": f"#/$defs/{_ANY_NAME}"}
    kinds = ["null", "boolean", "number", "string", "array", "object"]
    return {"type": kinds, "minimum": -LARGEST, "maximum": LARGEST, "items": same, "additionalProperties": same}


def _with_patterns(schema: Any) -> Any:
    """Formats are annotations to a canonical form; patterns are not."""
    if not isinstance(schema, Mapping):
        return schema
    made = dict(schema)
    pattern = PATTERNS.get(made["format"]) if isinstance(made.get("format"), str) else None
    if pattern is not None:
        made["allOf"] = [*made.get("allOf", ()), {"pattern": f"^(?:{pattern})$"}]
    for keyword in _SINGLES:
        if isinstance(made.get(keyword), Mapping):
            made[keyword] = _with_patterns(made[keyword])
    for keyword in (*_LISTS, "items"):
        if isinstance(made.get(keyword), list):
            made[keyword] = [_with_patterns(part) for part in made[keyword]]
    for keyword in _MAPS:
        if isinstance(made.get(keyword), Mapping):
            made[keyword] = {name: _with_patterns(part) for name, part in made[keyword].items()}
    return made


def _order(schema: Any) -> dict[str, int]:
    order: dict[str, int] = {}
    for name in _names(schema):
        order.setdefault(name, len(order))
    return order


def _names(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        if isinstance(schema.get("properties"), Mapping):
            yield from schema["properties"]
        for inner in schema.values():
            yield from _names(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _names(inner)
