"""Random JSON schemas out of the subset that structured output takes, with all that is awkward in it."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from outcrop.inference.structured_output import FORMATS

Schema = dict[str, Any]

# More on demand: each draws one schema and asks the model for some answers.
EXAMPLES = int(os.environ.get("OUTCROP_SCHEMA_EXAMPLES", "0"))


def asking(examples: int) -> settings:
    """Settings of a test that asks the model. No shrinking: the seed of an answer is part of the example, and small enough."""
    return settings(
        max_examples=EXAMPLES or examples,
        deadline=None,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


letters = st.characters(exclude_categories=["Cs"])
strings = st.one_of(
    st.text(letters, max_size=6),
    st.sampled_from(['"', "\\", "\n", "\u0000", "\u007f", "é😀", "</s>", "{}", "1", "true", ""]),
)
names = st.one_of(
    st.text("abcxyz", min_size=1, max_size=3),
    strings,
    st.sampled_from(["a b", "a-b", "a_b", "$ref", "type", "properties", "x/y", "x~y", "x%y"]),
)
integers = st.one_of(st.integers(-20, 20), st.sampled_from([2**31, -(2**31), 2**53]))
numbers = st.one_of(
    integers, st.decimals(-(10**6), 10**6, places=4).map(float), st.sampled_from([0.1, 1e-7, 1e20, -0.5])
)
scalars = st.one_of(st.none(), st.booleans(), numbers, strings)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2), max_leaves=4
)
types = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null"])

leaves: st.SearchStrategy[Schema] = st.one_of(
    st.just({}),
    st.builds(lambda kind: {"type": kind}, types),
    st.builds(lambda kinds: {"type": kinds}, st.lists(types, min_size=1, max_size=3, unique=True)),
    st.builds(lambda name: {"type": "string", "format": name}, st.sampled_from(sorted(FORMATS))),
    st.builds(lambda name: {"format": name}, st.sampled_from(sorted(FORMATS))),
    st.builds(lambda given: {"enum": given}, st.lists(scalars, min_size=1, max_size=4)),
    st.builds(lambda given, kind: {"enum": given, "type": kind}, st.lists(scalars, min_size=1, max_size=4), types),
    st.builds(lambda given: {"const": given}, values),
    st.builds(lambda text: {"type": "integer", "title": text, "description": text, "default": text}, strings),
)  # fmt: skip


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Schema]) -> Schema:
    """Some properties required, now and then one that is not declared; closed or not said to be."""
    parts = draw(st.dictionaries(names, inner, max_size=4))
    required = [name for name in parts if draw(st.booleans())]
    schema: Schema = {"type": "object", "properties": parts, "required": required}
    if draw(st.booleans()):
        schema["additionalProperties"] = False
    elif draw(st.integers(0, 4)) == 0:
        schema["required"] = list(dict.fromkeys([*required, draw(names)]))
    return schema


@st.composite
def combined(draw: st.DrawFn, inner: st.SearchStrategy[Schema]) -> Schema:
    """anyOf and allOf, with and without siblings."""
    word = draw(st.sampled_from(["anyOf", "allOf", "anyOf"]))
    schema: Schema = {word: draw(st.lists(inner, min_size=1, max_size=3))}
    return {**draw(inner), **schema} if draw(st.booleans()) else schema


def larger(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    arrays = st.builds(lambda part, n: {"type": "array", "items": part, "minItems": n}, inner, st.sampled_from([0, 1]))
    return st.one_of(objects(inner), arrays, combined(inner), objects(inner))


plain = st.recursive(leaves, larger, max_leaves=6)


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    """With definitions that are referred to, alone or beside other keywords."""
    schema = draw(plain)
    if draw(st.booleans()):
        return schema
    name = draw(names)
    place = quote(name.replace("~", "~0").replace("/", "~1"))
    reference: Schema = {"$ref": f"#/$defs/{place}"}
    target = draw(plain)
    shapes: list[Schema] = [
        {**schema, **reference},
        {"anyOf": [reference, schema]},
        {
            "type": "object",
            "properties": {"p": reference, "q": schema},
            "required": ["p"],
            "additionalProperties": False,
        },
        {"type": "array", "items": reference, "minItems": 1},
        {"allOf": [reference, schema]},
    ]
    return {**draw(st.sampled_from(shapes)), "$defs": {name: target}}


@st.composite
def tool_schemas(draw: st.DrawFn) -> Schema:
    """Those that a strict tool may have: objects at the top."""
    schema = draw(objects(plain))
    if draw(st.booleans()):
        schema["properties"]["ref"] = {"$ref": "#/$defs/d"}
        schema["$defs"] = {"d": draw(plain)}
    return schema


# What only tools that are not strict may say.
wider: st.SearchStrategy[Schema] = st.one_of(
    st.builds(lambda a, b: {"type": "integer", "minimum": min(a, b), "maximum": max(a, b)}, st.integers(-999, 999), st.integers(-999, 999)),
    st.builds(lambda low: {"type": "number", "exclusiveMinimum": low}, st.floats(-1e3, 1e3)),
    st.builds(lambda a, b: {"type": "string", "minLength": min(a, b), "maxLength": max(a, b)}, st.integers(0, 5), st.integers(0, 5)),
    st.builds(lambda text: {"type": "string", "pattern": text}, st.sampled_from([r"^\d{3}-\w+$", r"^[a-z]*$", r"\s", r"^.{2}$", "a|b"])),
    st.builds(lambda n: {"type": "array", "items": {"type": "boolean"}, "maxItems": n}, st.integers(0, 3)),
    st.builds(lambda part: {"type": "object", "additionalProperties": part}, leaves),
    st.builds(lambda n: {"type": "integer", "multipleOf": n}, st.integers(1, 9)),
    st.just({"oneOf": [{"type": "string", "maxLength": 2}, {"type": "integer"}, {"type": "null"}]}),
    st.just({"type": "array", "prefixItems": [{"type": "null"}, {"type": "boolean"}], "items": False, "minItems": 1}),
    leaves,
)  # fmt: skip


@st.composite
def wide_tool_schemas(draw: st.DrawFn) -> Schema:
    parts = draw(st.dictionaries(names, wider, min_size=1, max_size=4))
    return {"type": "object", "properties": parts, "required": [name for name in parts if draw(st.booleans())]}
