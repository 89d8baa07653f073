"""Meta Llama: a prompt with the model's special tokens, handed on as it is.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-meta.html
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from outcrop.context import Context
from outcrop.engines.engine import CompletionRequest, Finish, Sampling
from outcrop.errors import ValidationException
from outcrop.inference.answer import Answer
from outcrop.inference.blocks import Piece
from outcrop.inference.families.body import array, integer, number, opened, string
from outcrop.inference.families.family import Answering, Asked
from outcrop.inference.families.prompts import STOP_REASONS, check_generates, most_tokens, said, text_of
from outcrop.models.model import Model

MEMBERS = {
    "prompt": string(required=True, shortest=1),
    "max_gen_len": integer(1),
    "temperature": number(0, 1),
    "top_p": number(0, 1),
    "images": array(string()),
}
DEFAULT_TOKENS = 512
DEFAULT_TEMPERATURE = 0.5
DEFAULT_TOP_P = 0.9


async def read(ctx: Context, model: Model, body: bytes) -> Asked:
    given = opened(body, MEMBERS)
    check_generates(model)
    if given.get("images"):
        raise ValidationException("This model doesn't support images in a prompt. Send images with Converse.")
    sampling = Sampling(
        max_tokens=most_tokens(given, "max_gen_len", DEFAULT_TOKENS, model),
        temperature=given.get("temperature", DEFAULT_TEMPERATURE),
        top_p=given.get("top_p", DEFAULT_TOP_P),
    )
    return Asked(CompletionRequest(given["prompt"], sampling=sampling), given)


def write(answering: Answering, answer: Answer) -> dict[str, Any]:
    used = answer.finish.usage
    return _generation(text_of(answer), used.input_tokens, used.output_tokens, STOP_REASONS[answer.finish.reason])


async def chunks(answering: Answering, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[dict[str, Any], None]:
    """`prompt_token_count` is in the first chunk only. Up to the last, which has the engine's own count, pieces are
    taken for tokens.
    """
    prompt_tokens = await answering.prompt_tokens() or None
    generated = 0
    async for piece in pieces:
        if isinstance(piece, Finish):
            yield _generation("", prompt_tokens, piece.usage.output_tokens, STOP_REASONS[piece.reason])
        elif text := said(piece):
            generated += 1
            yield _generation(text, prompt_tokens, generated, None)
            prompt_tokens = None


def _generation(text: str, prompt_tokens: int | None, generated: int, stop_reason: str | None) -> dict[str, Any]:
    return {
        "generation": text,
        "prompt_token_count": prompt_tokens,
        "generation_token_count": generated,
        "stop_reason": stop_reason,
    }
