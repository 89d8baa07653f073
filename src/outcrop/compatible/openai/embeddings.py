"""POST embeddings."""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Sequence
from typing import Any

from outcrop.compatible import models
from outcrop.compatible.endpoint import Answered, Asking
from outcrop.context import Context
from outcrop.errors import ValidationException
from outcrop.inference.failures import unwrapped
from outcrop.inference.families.body import Member, integer, opened, string
from outcrop.inference.families.vectors import embedded
from outcrop.inference.wording import OPENAI

MOST_TEXTS = 2048
_MEMBERS = {
    "model": string(required=True),
    "input": Member(("String", "JSONArray"), required=True),
    "encoding_format": string(),
    "dimensions": integer(1),
    "user": string(),
}


async def create(ctx: Context, asking: Asking) -> Answered:
    given = opened(asking.request.body, _MEMBERS)
    model = models.found(ctx, given["model"])
    texts = _texts(given["input"])
    encode = _encoding(given.get("encoding_format", "float"))
    with unwrapped():
        vectors, usage = await embedded(ctx, model, texts, words=OPENAI)
    cut = [_unit(vector, given.get("dimensions")) for vector in vectors]
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": n, "embedding": encode(vector)} for n, vector in enumerate(cut)],
        "model": given["model"],
        "usage": {"prompt_tokens": usage.input_tokens, "total_tokens": usage.input_tokens},
    }


def _texts(given: str | Sequence[Any]) -> list[str]:
    texts = [given] if isinstance(given, str) else list(given)
    if not all(isinstance(text, str) for text in texts):
        raise ValidationException("input: Give texts; token ids of another tokenizer mean nothing to this model.")
    if not texts or len(texts) > MOST_TEXTS or not all(texts):
        raise ValidationException(f"input: Give 1 to {MOST_TEXTS} texts, none of them empty.")
    return texts


def _unit(vector: Sequence[float], dimensions: int | None) -> list[float]:
    """As OpenAI's vectors: of length one. A shorter vector is the first dimensions, which suits Matryoshka models."""
    if dimensions is not None and dimensions > len(vector):
        raise ValidationException(f"dimensions: This model's vectors have {len(vector)}; ask for that or fewer.")
    kept = vector[:dimensions]
    length = math.sqrt(sum(value * value for value in kept)) or 1.0
    return [value / length for value in kept]


def _encoding(name: str) -> Any:
    if name == "float":
        return list
    if name == "base64":
        return _base64
    raise ValidationException("encoding_format: Use 'float' or 'base64'.")


def _base64(vector: Sequence[float]) -> str:
    """Little-endian 32-bit floats."""
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
