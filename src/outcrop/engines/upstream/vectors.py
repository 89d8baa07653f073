"""Embedding and rerank models of Bedrock, by their native bodies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import orjson

from outcrop.engines.engine import EngineFailed

Kind = Literal["titan", "cohere", "cohere-rerank", "amazon-rerank"]

# How many texts one request may hold.
TEXTS_AT_ONCE: Mapping[Kind, int] = {"titan": 1, "cohere": 96}


def kind_of(model: str) -> Kind | None:
    """By the id, which may be an ARN or a profile's; None for other models."""
    if "rerank" in model:
        return "amazon-rerank" if "amazon." in model else "cohere-rerank"
    if "titan-embed" in model:
        return "titan"
    return "cohere" if "cohere.embed" in model else None


def embed_body(kind: Kind, texts: Sequence[str]) -> bytes:
    """Titan takes one text. Cohere's texts are taken for documents: an engine is not told what a vector is for."""
    if kind == "titan":
        return orjson.dumps({"inputText": texts[0]})
    return orjson.dumps({"texts": list(texts), "input_type": "search_document", "truncate": "NONE"})


def vectors_in(kind: Kind, answer: bytes, count: int) -> list[list[float]]:
    """EngineFailed for anything but `count` vectors."""
    parsed = _parsed(answer)
    found = [parsed.get("embedding")] if kind == "titan" else parsed.get("embeddings")
    if isinstance(found, dict):
        found = found.get("float")
    if not isinstance(found, list) or len(found) != count or not all(isinstance(row, list) for row in found):
        raise EngineFailed(f"The upstream answered no {count} vectors.")
    return [list(map(float, row)) for row in found]


def tokens_in(answer: bytes, headers: Mapping[str, str]) -> int:
    counted = _parsed(answer).get("inputTextTokenCount") or headers.get("x-amzn-bedrock-input-token-count") or 0
    return int(counted)


def rerank_body(kind: Kind, query: str, documents: Sequence[str]) -> bytes:
    body: dict[str, Any] = {"query": query, "documents": list(documents), "top_n": len(documents)}
    return orjson.dumps(body if kind == "amazon-rerank" else {**body, "api_version": 2})


def scores_in(answer: bytes, count: int) -> list[float]:
    """In the order of the documents. EngineFailed where one has none."""
    results = _parsed(answer).get("results") or ()
    scores = {row["index"]: float(row["relevance_score"]) for row in results}
    if sorted(scores) != list(range(count)):
        raise EngineFailed(f"The upstream scored {len(scores)} of {count} documents.")
    return [scores[index] for index in range(count)]


def _parsed(answer: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(answer)
    except orjson.JSONDecodeError:
        raise EngineFailed("The upstream answered something that is not JSON.") from None
    if not isinstance(parsed, dict):
        raise EngineFailed("The upstream answered something that is not an object.")
    return parsed
