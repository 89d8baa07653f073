"""DeepSeek-R1: a prompt with the model's special tokens, handed on as it is. Thoughts stand in the text, in its own tags.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-deepseek.html
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from outcrop.context import Context
from outcrop.engines.engine import CompletionRequest, Finish, Sampling
from outcrop.inference.answer import Answer
from outcrop.inference.blocks import Piece
from outcrop.inference.families.body import array, integer, number, opened, string
from outcrop.inference.families.family import Answering, Asked
from outcrop.inference.families.prompts import STOP_REASONS, check_generates, most_tokens, said, text_of
from outcrop.models.model import Model

MEMBERS = {
    "prompt": string(required=True, shortest=1),
    "max_tokens": integer(1),
    "temperature": number(0, 1),
    "top_p": number(0, 1),
    "stop": array(string(shortest=1), most=10),
}
DEFAULT_TOKENS = 32_768


async def read(ctx: Context, model: Model, body: bytes) -> Asked:
    given = opened(body, MEMBERS)
    check_generates(model)
    sampling = Sampling(
        max_tokens=most_tokens(given, "max_tokens", DEFAULT_TOKENS, model),
        temperature=given.get("temperature"),
        top_p=given.get("top_p"),
        stop=tuple(given.get("stop", ())),
    )
    return Asked(CompletionRequest(given["prompt"], sampling=sampling), given)


def write(answering: Answering, answer: Answer) -> dict[str, Any]:
    return _choices(text_of(answer), STOP_REASONS[answer.finish.reason])


async def chunks(answering: Answering, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[dict[str, Any], None]:
    async for piece in pieces:
        if isinstance(piece, Finish):
            yield _choices("", STOP_REASONS[piece.reason])
        elif text := said(piece):
            yield _choices(text, None)


def _choices(text: str, stop_reason: str | None) -> dict[str, Any]:
    return {"choices": [{"text": text, "stop_reason": stop_reason}]}
