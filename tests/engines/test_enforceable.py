"""The enforceable form of a schema: what fits it fits the schema, and what has none is refused."""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import orjson
import pytest
from hypothesis import HealthCheck, given, settings

from outcrop.engines.enforceable import LARGEST, enforceable, portable
from outcrop.engines.engine import InvalidRequest
from outcrop.engines.formats import PATTERNS
from outcrop.engines.smallest import smallest
from tests.conformance.shared import DATA, needs
from tests.inference.structured.judging import fits
from tests.inference.structured.schemas import schemas

DRAFT7 = "http://json-schema.org/draft-07/schema#"
SUITE = DATA / "jsonschema" / "test-suite" / "tests"


@needs("jsonschema/test-suite")
@pytest.mark.parametrize(
    ("draft", "dialect"),
    [
        ("draft2020-12", "https://json-schema.org/draft/2020-12/schema"),
        ("draft7", DRAFT7),
    ],
)
def test_what_the_suite_calls_invalid_does_not_fit_the_form(draft: str, dialect: str) -> None:
    """Formats that are not enforced are annotations, as the drafts say."""
    forms = rejected = 0
    for file in sorted((SUITE / draft).rglob("*.json")):
        if file.parent.name == "format" and file.stem not in PATTERNS:
            continue
        for case in json.loads(file.read_text()):
            schema = case["schema"]
            if not isinstance(schema, dict) or schema.get("format") == "regex":
                continue
            try:
                form = jsonschema_rs.Draft202012Validator(enforceable({"$schema": dialect, **schema}))
            except InvalidRequest:
                continue
            forms += 1
            for test in case["tests"]:
                if not test["valid"]:
                    rejected += 1
                    assert not form.is_valid(test["data"]), (file.stem, case["description"], test["description"])
    assert forms > 200
    assert rejected > 500


@given(schemas())
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_smallest_value_of_the_form_fits_the_schema(schema: Any) -> None:
    try:
        value = smallest(schema)
    except InvalidRequest:
        return
    assert fits(orjson.dumps(value).decode(), schema), value


def test_properties_keep_their_order() -> None:
    schema = {"type": "object", "properties": {"z": {"type": "null"}, "a": {"type": "null"}}, "required": ["m", "z"]}
    form = enforceable({"allOf": [schema]})
    assert list(form["properties"]) == ["z", "a", "m"]
    assert form["additionalProperties"] is False


def test_numbers_have_bounds() -> None:
    """1e999 is a number to the grammar of JSON and to no parser."""
    form = enforceable({"type": "number"})
    assert (form["minimum"], form["maximum"]) == (-LARGEST, LARGEST)
    form = enforceable({"type": "integer", "minimum": 3, "exclusiveMaximum": 10**30})
    assert (form["minimum"], form["maximum"]) == (3, LARGEST)
    assert "exclusiveMaximum" not in form


def test_recursion_stays_a_reference() -> None:
    tree = {
        "type": "object",
        "properties": {"value": {"type": "integer"}, "next": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}},
    }
    form = enforceable(tree)
    assert form["properties"]["next"]["anyOf"][1] == {"$ref": "#"}
    assert smallest({**tree, "required": ["value", "next"]}) == {"value": 0, "next": None}


def test_alternatives_that_nothing_fits_are_gone() -> None:
    form = enforceable(
        {"anyOf": [{"type": "integer", "minimum": 5, "maximum": 4}, {"type": "string", "enum": ["a", 1]}]}
    )
    assert {key: value for key, value in form.items() if key != "$defs"} == {"enum": ["a"]}
    form = enforceable({"type": "object", "properties": {"a": False, "b": {"type": "null"}}})
    assert list(form["properties"]) == ["b"]


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "array", "uniqueItems": True}, "'uniqueItems' cannot be enforced"),
        ({"type": "array", "contains": {"type": "null"}}, "'contains' cannot"),
        ({"type": "object", "patternProperties": {"^a": {"type": "null"}}}, "'patternProperties' cannot"),
        ({"type": "object", "propertyNames": {"maxLength": 3}}, "'propertyNames' cannot"),
        ({"type": "object", "minProperties": 2}, "'minProperties' cannot"),
        ({"type": "string", "not": {"const": "a"}}, "'not' cannot"),
        ({"allOf": [{"type": "string"}, {"type": "null"}]}, "No value can fit"),
        ({"type": "object", "properties": {"a": False}, "required": ["a"]}, "No value can fit"),
        ({"type": "object", "properties": {}, "required": ["a"], "additionalProperties": False}, "No value can fit"),
        ({"type": "number", "minimum": 1e300}, "No value that can be written"),
        ({"const": 2**63 - 1}, "too large"),
        ({"enum": [1, -103009.44905933097]}, "too many digits"),
        ({"const": {"a": [1e-30]}}, "too many digits"),
        ({"type": "integer", "minimum": 2**53 + 1}, "too large"),
        ({"type": "weird"}, "not valid"),
        ({"$ref": "#/nowhere"}, "not valid"),
        ({"$ref": "http://127.0.0.1:9/schema"}, "not valid"),
        ({"$ref": "file:///etc/passwd"}, "not valid"),
        ({"minLength": -1}, "not valid"),
        ({"pattern": "("}, "not valid"),
        ({"properties": []}, "not valid"),
    ],
)  # fmt: skip
def test_what_cannot_be_enforced_is_refused(schema: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        enforceable(schema)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "array", "uniqueItems": True, "maxItems": 1, "minItems": 1, "items": {"const": 2}}, [2]),
        ({"type": "array", "items": False}, []),
        ({"type": "array", "prefixItems": [{"const": 1}, False], "minItems": 1}, [1]),
        ({"$schema": DRAFT7, "items": [{"const": 1}], "additionalItems": False, "type": "array", "minItems": 1}, [1]),
        ({"type": "object", "additionalProperties": {"type": "null"}, "required": ["a"]}, {"a": None}),
        ({"type": "object", "propertyNames": {"enum": ["a"]}, "required": ["a"], "additionalProperties": {"const": 3}}, {"a": 3}),
        ({"if": {"type": "object"}, "then": {"required": ["a"], "properties": {"a": {"const": 1}}}, "type": "object"}, {"a": 1}),
        ({"oneOf": [{"properties": {"k": {"const": "a"}}, "required": ["k"]}, {"type": "null"}], "type": "object"}, {"k": "a"}),
        ({"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 2}, 1.5),
        ({"type": "integer", "multipleOf": 7, "minimum": 3}, 7),
        ({"type": "string", "minLength": 3}, "xxx"),
        ({"type": "string", "format": "date"}, "2026-01-01"),
        ({"type": ["string", "null"], "format": "no such format"}, ""),
        ({"$ref": "#/$defs/a%25b~1c", "$defs": {"a%b/c": {"const": "found"}}}, "found"),
        ({"$ref": "#/$defs/x", "const": "b", "$defs": {"x": {"enum": ["a", "b"]}}}, "b"),
    ],
)  # fmt: skip
def test_what_can_be_enforced(schema: dict[str, Any], value: object) -> None:
    made = smallest(schema)
    assert made == value or schema.get("type") == ["string", "null"]
    assert fits(orjson.dumps(made).decode(), schema)


@pytest.mark.parametrize(
    ("pattern", "same"),
    [
        (r"^\d+$", "^[0-9]+$"),
        (r"[\d_]\w", "[0-9_][A-Za-z0-9_]"),
        (r"\D\\d\.", r"[^0-9]\\d\."),
        (r"^.[.]$", r"^[^\n\r\u2028\u2029][.]$"),
        (r"a\]b[\]\d]", r"a\]b[\]0-9]"),
    ],
)
def test_patterns_mean_what_they_mean_in_ecmascript(pattern: str, same: str) -> None:
    assert portable(pattern) == same


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


def combined(parts: int, branches: int) -> dict[str, Any]:
    """branches ** parts alternatives."""

    def part(i: int, j: int) -> dict[str, Any]:
        return {"type": "object", "properties": {f"p{i}-{j}": {"const": j}}, "required": [f"p{i}-{j}"]}

    return {"allOf": [{"anyOf": [part(i, j) for j in range(branches)]} for i in range(parts)]}


def chained(links: int) -> dict[str, Any]:
    definitions = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}", "title": "t"} for n in range(links)}
    return {"$ref": "#/$defs/d0", "$defs": {**definitions, f"d{links}": {"type": "null"}}}


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (nested(101), "nested too deeply"),
        (nested(5000), "nested too deeply"),
        (combined(12, 4), "too many combinations"),
        ({"$ref": "#/$defs/a", "allOf": [{"$ref": "#/$defs/a", "title": "t"}], "$defs": {"a": combined(3, 8)}}, "too many comb"),
        (chained(3000), "nested too deeply"),
        ({"type": "array", "minItems": 1001}, "'minItems' of more than 1000"),
    ],
    ids=["deep", "deeper", "combinations", "combined references", "chain", "items"],
)  # fmt: skip
def test_what_would_take_too_long_is_refused(schema: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        enforceable(schema)


def test_a_tree_that_need_not_end_is_ended() -> None:
    """The smallest value does not grow with the depth that is tried."""
    fork = {
        "type": "object",
        "properties": {"l": {"$ref": "#/$defs/n"}, "r": {"$ref": "#/$defs/n"}},
        "required": ["l", "r"],
    }
    for order in (1, -1):
        node = {"anyOf": [fork, {"type": "array", "items": {}}, {"type": "object", "required": ["x"]}][::order]}
        value = smallest({"$ref": "#/$defs/n", "$defs": {"n": node}})
        assert fits(orjson.dumps(value).decode(), {"$ref": "#/$defs/n", "$defs": {"n": node}})
    with pytest.raises(InvalidRequest, match="No value"):
        smallest({"$ref": "#/$defs/n", "$defs": {"n": fork}})


def test_what_is_only_large_is_not() -> None:
    assert smallest(nested(64))
    assert smallest(combined(4, 4)) == {f"p{i}-0": 0 for i in range(4)}
    assert smallest(chained(50)) is None
    assert enforceable({"type": "array", "maxItems": 10**9})["maxItems"] == 1000
    assert enforceable({"enum": [str(n) for n in range(20_000)]})
