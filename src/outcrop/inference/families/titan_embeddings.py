"""Amazon Titan's embeddings: G1 (v1), V2, and Multimodal G1 of texts.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from outcrop.context import Context
from outcrop.engines.engine import Usage
from outcrop.errors import ValidationException
from outcrop.inference.families.body import array, boolean, integer, keys, mapping, opened, string
from outcrop.inference.families.vectors import Vector, bits, embedded, first, normalised, shortened
from outcrop.inference.usage import Counts, counts
from outcrop.inference.wording import NATIVE
from outcrop.models.model import Model

LONGEST_TEXT = 50_000
_TEXT = string(required=True, shortest=1, longest=LONGEST_TEXT)
V1_MEMBERS = {"inputText": _TEXT}
# The service knows three dimensions, 1024, 512 and 256; here it is as many as the model has, or fewer.
V2_MEMBERS = {
    "inputText": _TEXT,
    "dimensions": integer(1),
    "normalize": boolean(),
    "embeddingTypes": array(string(choices=("float", "binary")), fewest=1),
}
IMAGE_MEMBERS = {
    "inputText": string(shortest=1, longest=LONGEST_TEXT),
    "inputImage": string(),
    "embeddingConfig": mapping({"outputEmbeddingLength": integer(1)}),
}
_WORDS = replace(
    NATIVE, too_long="400 Bad Request: Too many input tokens. Max input tokens: {limit}, request input token count: {tokens} "
)  # fmt: skip


async def v1(ctx: Context, model: Model, body: bytes) -> tuple[dict[str, Any], Counts]:
    given = opened(body, V1_MEMBERS)
    vector, usage = await _embedded(ctx, model, given["inputText"])
    return {"embedding": vector, "inputTextTokenCount": usage.input_tokens}, counts(usage)


async def v2(ctx: Context, model: Model, body: bytes) -> tuple[dict[str, Any], Counts]:
    """`embedding` is the floats, and not there if they were not asked for. Binary embeddings are a 0 or 1 a dimension.

    `dimensions` cuts the model's vectors (`vectors.first`); more than they have are refused.
    """
    given = opened(body, V2_MEMBERS)
    vector, usage = await _embedded(ctx, model, given["inputText"])
    vector = first(vector, given.get("dimensions"), "dimensions")
    if given.get("normalize", True):
        vector = normalised(vector)
    by_type: dict[str, Any] = {
        kind: vector if kind == "float" else bits(vector) for kind in given.get("embeddingTypes", ["float"])
    }
    told = {"embeddingsByType": by_type, "inputTextTokenCount": usage.input_tokens}
    return {"embedding": vector, **told} if "float" in by_type else told, counts(usage)


async def multimodal(ctx: Context, model: Model, body: bytes) -> tuple[dict[str, Any], Counts]:
    """Of a text only: no engine embeds images."""
    given = opened(body, IMAGE_MEMBERS if "inputImage" in keys(body) else {**IMAGE_MEMBERS, "inputText": _TEXT})
    if "inputText" not in given or "inputImage" in given:
        raise ValidationException("This model doesn't support images.")
    vector, usage = await _embedded(ctx, model, given["inputText"])
    length = given.get("embeddingConfig", {}).get("outputEmbeddingLength")
    vector = shortened(vector, length, "embeddingConfig.outputEmbeddingLength")
    return {"embedding": vector, "inputTextTokenCount": usage.input_tokens, "message": None}, counts(usage)


async def _embedded(ctx: Context, model: Model, text: str) -> tuple[Vector, Usage]:
    vectors, usage = await embedded(ctx, model, [text], words=_WORDS)
    return vectors[0], usage
