"""Bedrock's own completion of imported models: Llama's body with stop sequences, a seed and a schema."""

from __future__ import annotations

from outcrop.context import Context
from outcrop.engines.engine import CompletionRequest, Sampling
from outcrop.errors import ValidationException
from outcrop.inference.families import llama
from outcrop.inference.families.body import Member, boolean, integer, mapping, number, opened, string
from outcrop.inference.families.family import Asked
from outcrop.inference.families.imported_schema import schema_of
from outcrop.inference.families.llama import chunks, write
from outcrop.inference.families.prompts import check_generates, most_tokens
from outcrop.models.model import Model

MEMBERS = {
    "prompt": string(required=True, shortest=1),
    "max_gen_len": integer(1),
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "top_k": integer(0),
    "stop": Member(("String", "JSONArray"), each=string(shortest=1)),
    "seed": integer(0),
    "return_logprobs": boolean(),
    "response_format": mapping(),
}


async def read(ctx: Context, model: Model, body: bytes) -> Asked:
    given = opened(body, MEMBERS)
    check_generates(model)
    if given.get("return_logprobs"):
        raise ValidationException("return_logprobs: This model doesn't support log probabilities.")
    stop = given.get("stop", [])
    sampling = Sampling(
        max_tokens=most_tokens(given, "max_gen_len", llama.DEFAULT_TOKENS, model),
        temperature=given.get("temperature", llama.DEFAULT_TEMPERATURE),
        top_p=given.get("top_p", llama.DEFAULT_TOP_P),
        top_k=given.get("top_k"),
        seed=given.get("seed"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
    )
    return Asked(CompletionRequest(given["prompt"], schema_of(given, model), sampling), given)


__all__ = ["chunks", "read", "write"]
