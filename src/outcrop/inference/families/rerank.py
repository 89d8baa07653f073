"""Reranking by Amazon's and by Cohere's body, which differ in little.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/rerank-supported.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outcrop.context import Context
from outcrop.engines.engine import EngineError
from outcrop.errors import ValidationException
from outcrop.inference.failures import before_the_answer
from outcrop.inference.families.body import Member, array, integer, opened, string
from outcrop.inference.usage import Counts, counts
from outcrop.inference.watching import begun, failing, tell
from outcrop.inference.wording import NATIVE
from outcrop.models.model import Model

AMAZON_MEMBERS: Mapping[str, Member] = {
    "query": string(required=True, shortest=1),
    "documents": array(string(), required=True, fewest=1, most=1000),
    "top_n": integer(1),
}
COHERE_MEMBERS: Mapping[str, Member] = {**AMAZON_MEMBERS, "api_version": integer(1, required=True)}


async def amazon(ctx: Context, model: Model, body: bytes) -> tuple[dict[str, Any], Counts]:
    return await _ranked(ctx, model, opened(body, AMAZON_MEMBERS))


async def cohere(ctx: Context, model: Model, body: bytes) -> tuple[dict[str, Any], Counts]:
    return await _ranked(ctx, model, opened(body, COHERE_MEMBERS))


async def _ranked(ctx: Context, model: Model, given: Mapping[str, Any]) -> tuple[dict[str, Any], Counts]:
    """The best first; documents with the same score stay in their order."""
    if not model.capabilities.rerank:
        raise ValidationException("This model doesn't support reranking.")
    generation = await begun(ctx, model, None)
    with failing(generation):
        try:
            scores, usage = await ctx.engine(model.id).rerank(given["query"], given["documents"])
        except EngineError as problem:
            raise before_the_answer(problem, model.id, NATIVE) from problem
        finally:
            tell(ctx, model)
    if generation is not None:
        generation.finished(usage, None)
    ranked = sorted(enumerate(scores), key=lambda scored: -scored[1])[: given.get("top_n", len(scores))]
    return {"results": [{"index": index, "relevance_score": score} for index, score in ranked]}, counts(usage)
