"""Cohere Embed, v3 and v4, of texts.

`input_type` is checked and changes nothing: it selects a prefix that only Cohere's own models were trained with.
Sources: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-embed-v3.html and -v4.html
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from outcrop.context import Context
from outcrop.errors import ValidationException
from outcrop.inference.families.body import array, integer, mapping, opened, string
from outcrop.inference.families.vectors import TYPES, Cut, Vector, embedded, shortened
from outcrop.inference.usage import Counts, counts
from outcrop.models.model import Model

MOST_TEXTS = 96
_PURPOSES = ("search_document", "search_query", "classification", "clustering")
_TYPES = array(string(choices=tuple(TYPES)), fewest=1)
V3_MEMBERS = {
    "texts": array(string(longest=2048), most=MOST_TEXTS),
    "images": array(string(), most=1),
    "input_type": string(required=True, choices=(*_PURPOSES, "image")),
    "truncate": string(choices=("NONE", "START", "END")),
    "embedding_types": _TYPES,
}
V4_MEMBERS = {
    "texts": array(string(), most=MOST_TEXTS),
    "images": array(string(), most=MOST_TEXTS),
    "inputs": array(mapping({"content": array(mapping(), required=True, fewest=1)}), most=MOST_TEXTS),
    "input_type": string(required=True, choices=_PURPOSES),
    "truncate": string(choices=("NONE", "LEFT", "RIGHT")),
    "embedding_types": _TYPES,
    "output_dimension": integer(1),
    "max_tokens": integer(1),
}
_CUTS: Mapping[str, Cut] = {"NONE": "NONE", "START": "START", "LEFT": "START", "END": "END", "RIGHT": "END"}


async def v3(ctx: Context, model: Model, body: bytes) -> tuple[dict[str, Any], Counts]:
    given = opened(body, V3_MEMBERS)
    texts = _one_of(given, "texts", "images")
    vectors, usage = await embedded(ctx, model, texts, _CUTS[given.get("truncate", "NONE")])
    types = given.get("embedding_types")
    return _answer(texts, _typed(vectors, types or ["float"]), by_type=types is not None), counts(usage)


async def v4(ctx: Context, model: Model, body: bytes) -> tuple[dict[str, Any], Counts]:
    """`output_dimension` cuts the model's vectors (`vectors.shortened`); more than they have are refused."""
    given = opened(body, V4_MEMBERS)
    texts = _one_of(given, "texts", "images", "inputs")
    if given.get("max_tokens", model.capabilities.context_tokens) < model.capabilities.context_tokens:
        raise ValidationException(
            f"max_tokens: This model takes up to {model.capabilities.context_tokens} tokens of a text, not fewer."
        )
    made, usage = await embedded(ctx, model, texts, _CUTS[given.get("truncate", "NONE")])
    vectors = [shortened(vector, given.get("output_dimension"), "output_dimension") for vector in made]
    types = given.get("embedding_types", ["float"])
    return _answer(texts, _typed(vectors, types), by_type=len(types) > 1), counts(usage)


def _one_of(given: Mapping[str, Any], *names: str) -> list[str]:
    """The texts, from whichever member has them."""
    told = [name for name in names if given.get(name)]
    if len(told) > 1 or not any(name in given for name in names):
        raise ValidationException(f"Give exactly one of {', '.join(names)}.")
    if "images" in told:
        raise ValidationException("This model doesn't support images.")
    if "inputs" in told:
        return [_text(i, item["content"]) for i, item in enumerate(given["inputs"])]
    return list(given.get("texts", ()))


def _text(i: int, parts: Sequence[Mapping[str, Any]]) -> str:
    texts = []
    for n, part in enumerate(parts):
        if part.get("type") == "image_url":
            raise ValidationException("This model doesn't support images.")
        if part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise ValidationException(f"inputs.{i}.content.{n}: Give a part of the type 'text', with its text.")
        texts.append(part["text"])
    return "\n".join(texts)


def _typed(vectors: Sequence[Vector], types: Sequence[str]) -> dict[str, list[Sequence[float]]]:
    return {kind: [TYPES[kind](vector) for vector in vectors] for kind in types}


def _answer(texts: Sequence[str], typed: Mapping[str, Any], *, by_type: bool) -> dict[str, Any]:
    """The lists of one type alone, or those of all under their names."""
    floats = not by_type and "float" in typed
    return {
        "embeddings": typed if by_type else next(iter(typed.values())),
        "id": str(uuid.uuid4()),
        "response_type": "embeddings_floats" if floats else "embeddings_by_type",
        "texts": list(texts),
    }
