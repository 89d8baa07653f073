"""outputConfig's JSON schema: the subset is handed on, and all else refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from outcrop.errors import AwsError, ValidationException
from outcrop.inference.operations import converse
from outcrop.inference.structured_output import FORMATS, TYPES, check_schema
from tests.inference.bench import Bench, user

PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": ["string", "null"], "description": "d"},
        "born": {"type": "string", "format": "date"},
        "kind": {"enum": ["a", 1, None, True]},
        "friends": {"type": "array", "items": {"$ref": "#/$defs/friend"}, "minItems": 1},
    },
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {"friend": {"anyOf": [{"const": "me"}, {"allOf": [{"type": "string"}]}]}},
}


def asked_for(schema: str) -> dict[str, Any]:
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": schema}}}}


def test_the_schema_reaches_the_engine(bench: Bench) -> None:
    bench.call(converse, messages=[user("Hi")], outputConfig=asked_for(json.dumps(PERSON)))
    assert bench.asked.json_schema == PERSON
    bench.call(converse, messages=[user("Hi")], outputConfig={})
    assert bench.asked.json_schema is None


@pytest.mark.parametrize(
    ("text", "words"), [("{", "not valid JSON"), ("[]", "must be a JSON object"), ("", "not valid")]
)
def test_what_is_no_schema_is_refused(bench: Bench, text: str, words: str) -> None:
    with pytest.raises(AwsError, match=words):
        bench.call(converse, messages=[user("Hi")], outputConfig=asked_for(text))
    assert bench.engine.asked == []


def test_a_model_that_cannot_is_not_asked(bench: Bench) -> None:
    bench.engine.able = replace(bench.engine.able, json_schema=False)
    with pytest.raises(AwsError, match="doesn't support structured output"):
        bench.call(converse, messages=[user("Hi")], outputConfig=asked_for("{}"))


scalars = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=3))
names = st.text("abc$/~", min_size=1, max_size=3)
leaves = st.one_of(
    st.just({}),
    st.builds(lambda kind: {"type": kind}, st.sampled_from(TYPES)),
    st.builds(lambda kinds: {"type": kinds}, st.lists(st.sampled_from(TYPES), min_size=1, max_size=3)),
    st.builds(lambda kind: {"type": "string", "format": kind}, st.sampled_from(sorted(FORMATS))),
    st.builds(lambda values: {"enum": values}, st.lists(scalars, min_size=1, max_size=3)),
    st.builds(lambda value: {"const": value, "title": "t"}, scalars),
)


def larger(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        st.builds(
            lambda parts: {"type": "object", "properties": parts, "required": list(parts), "additionalProperties": False},
            st.dictionaries(names, inner, max_size=3),
        ),
        st.builds(lambda part, n: {"type": "array", "items": part, "minItems": n}, inner, st.sampled_from([0, 1])),
        st.builds(lambda word, parts: {word: parts}, st.sampled_from(["anyOf", "allOf"]), st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda part: {"$ref": "#/$defs/x", "$defs": {"x": part}}, leaves),
    )  # fmt: skip


subset = st.recursive(leaves, larger, max_leaves=8)

OUTSIDE: list[dict[str, Any]] = [
    {"minimum": 1}, {"maximum": 1}, {"exclusiveMinimum": 0}, {"multipleOf": 2}, {"minLength": 1}, {"maxLength": 1},
    {"pattern": "a"}, {"maxItems": 2}, {"uniqueItems": True}, {"prefixItems": []}, {"contains": {}}, {"oneOf": [{}]},
    {"not": {}}, {"if": {}}, {"patternProperties": {}}, {"propertyNames": {}}, {"minProperties": 1},
    {"dependentRequired": {}}, {"$dynamicRef": "#a"}, {"unheardOf": 1},
    {"minItems": 2}, {"minItems": True}, {"minItems": 1.0}, {"minItems": "1"}, {"minItems": None},
    {"additionalProperties": True}, {"additionalProperties": {}}, {"additionalProperties": 0},
    {"format": "regex"}, {"format": []}, {"format": None},
    {"type": "any"}, {"type": []}, {"type": ["string", "any"]}, {"type": {}}, {"type": None}, {"type": [[]]},
    {"enum": []}, {"enum": [{}]}, {"enum": [[1]]}, {"enum": "a"},
    {"anyOf": []}, {"anyOf": {}}, {"allOf": [1]}, {"anyOf": [True]},
    {"items": True}, {"items": [{}]}, {"properties": []}, {"properties": {"a": True}},
    {"required": [1]}, {"required": "a"}, {"$defs": []}, {"$defs": {"a": {"minimum": 1}}},
    {"$ref": "#"}, {"$ref": "#/nowhere"}, {"$ref": "other.json"}, {"$ref": "https://a/b#/c"}, {"$ref": "#anchor"},
    {"$ref": {}}, {"$ref": []}, {"$ref": 1}, {"$ref": ""},
]  # fmt: skip


@given(subset)
@hypothesis_settings(deadline=None, max_examples=100)
def test_the_subset_is_taken(schema: dict[str, Any]) -> None:
    if "$ref" not in json.dumps(schema) or "$ref" in schema:
        check_schema(schema, "s")


@st.composite
def outside(draw: st.DrawFn) -> dict[str, Any]:
    """A schema of the subset, with one thing outside of it somewhere inside."""
    schema: dict[str, Any] = {**draw(leaves), **draw(st.sampled_from(OUTSIDE))}
    for _ in range(draw(st.integers(0, 4))):
        sibling = draw(leaves)
        kinds = ("properties", "items", "anyOf", "allOf", "$defs")
        kind = draw(st.sampled_from(kinds))
        around: dict[str, Any] = {
            "properties": {"properties": {draw(names): schema}},
            "items": {"type": "array", "items": schema},
            "anyOf": {"anyOf": [sibling, schema]},
            "allOf": {"allOf": [schema, sibling]},
            "$defs": {"$defs": {"d": schema}},
        }
        schema = around[kind]
    return schema


@given(outside())
@hypothesis_settings(deadline=None, max_examples=400)
def test_a_schema_outside_of_the_subset_is_always_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ValidationException):
        check_schema(schema, "s")


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}},
        {"properties": {"a": {"properties": {"b": {"$ref": "#/properties/a"}}}}},
        {"$defs": {"a": {"$ref": "#/$defs/a"}}},
    ],
)
def test_recursion_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(ValidationException, match="recursive"):
        check_schema(schema, "s")


def test_a_schema_that_doubles_at_every_step_is_walked_once() -> None:
    doubling = {f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(25)}
    check_schema({"$ref": "#/$defs/d0", "$defs": {**doubling, "d25": {"type": "string"}}}, "s")


def test_deep_nesting_is_refused() -> None:
    schema: dict[str, Any] = {}
    for _ in range(100):
        schema = {"items": schema}
    with pytest.raises(ValidationException, match="nested too deeply"):
        check_schema(schema, "s")
