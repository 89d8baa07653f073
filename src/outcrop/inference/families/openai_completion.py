"""OpenAI's completion (not chat) of imported models.

Source: https://platform.openai.com/docs/api-reference/completions/create
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from outcrop.context import Context
from outcrop.engines.engine import CompletionRequest, Finish, Sampling
from outcrop.errors import ValidationException
from outcrop.inference.answer import Answer
from outcrop.inference.blocks import Piece
from outcrop.inference.families import openai_response
from outcrop.inference.families.body import Member, boolean, integer, mapping, number, opened, string
from outcrop.inference.families.family import Answering, Asked
from outcrop.inference.families.imported_schema import schema_of
from outcrop.inference.families.prompts import STOP_REASONS, check_generates, most_tokens, said, text_of
from outcrop.models.model import Model

MEMBERS = {
    "prompt": string(required=True, shortest=1),
    "max_tokens": integer(1, required=True),
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "top_k": integer(0),
    "stop": Member(("String", "JSONArray"), each=string(shortest=1)),
    "seed": integer(),
    "frequency_penalty": number(-2, 2),
    "presence_penalty": number(-2, 2),
    "response_format": mapping(),
    "structured_outputs": mapping(),
    "stream": boolean(),
    "stream_options": mapping(),
    "n": integer(1),
    "best_of": integer(1),
    "logprobs": integer(0),
    "prompt_logprobs": integer(0),
    "echo": boolean(),
    "suffix": string(),
    "logit_bias": mapping(),
    "model": string(),
    "user": string(),
}


async def read(ctx: Context, model: Model, body: bytes) -> Asked:
    given = opened(body, MEMBERS)
    check_generates(model)
    _refuse(given)
    stop = given.get("stop", [])
    sampling = Sampling(
        max_tokens=most_tokens(given, "max_tokens", None, model),
        temperature=given.get("temperature"),
        top_p=given.get("top_p"),
        top_k=given.get("top_k"),
        seed=given.get("seed"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        frequency_penalty=given.get("frequency_penalty"),
        presence_penalty=given.get("presence_penalty"),
    )
    return Asked(CompletionRequest(given["prompt"], schema_of(given, model), sampling), given)


def _refuse(given: Mapping[str, Any]) -> None:
    """What would change the answer and cannot be done."""
    if given.get("n", 1) > 1 or given.get("best_of", 1) > 1:
        raise ValidationException("n: This model gives one choice a request. Use 1 and try again.")
    if "logprobs" in given or "prompt_logprobs" in given:
        raise ValidationException("logprobs: This model doesn't support log probabilities.")
    for name in ("echo", "suffix", "logit_bias"):
        if given.get(name):
            raise ValidationException(f"{name}: This model doesn't support the {name} parameter.")


def write(answering: Answering, answer: Answer) -> dict[str, Any]:
    choice = _choice(text_of(answer), STOP_REASONS[answer.finish.reason])
    return {**_head(answering), "choices": [choice], "usage": openai_response.usage(answer.finish.usage)}


async def chunks(answering: Answering, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[dict[str, Any], None]:
    """With `stream_options.include_usage`, one more chunk follows for the usage."""
    head = _head(answering)
    async for piece in pieces:
        if isinstance(piece, Finish):
            yield {**head, "choices": [_choice("", STOP_REASONS[piece.reason])]}
            if answering.asked.given.get("stream_options", {}).get("include_usage"):
                yield {**head, "choices": [], "usage": openai_response.usage(piece.usage)}
        elif text := said(piece):
            yield {**head, "choices": [_choice(text, None)]}


def model_name(answering: Answering) -> str:
    """As the service names an imported model in its answers."""
    return f"{answering.ctx.account}-{answering.model.id}"


def _head(answering: Answering) -> dict[str, Any]:
    name = f"cmpl-{secrets.token_hex(12)}"
    return {"id": name, "object": "text_completion", "created": int(time.time()), "model": model_name(answering)}


def _choice(text: str, finish_reason: str | None) -> dict[str, Any]:
    return {"index": 0, "text": text, "logprobs": None, "finish_reason": finish_reason}
