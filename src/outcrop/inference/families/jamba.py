"""AI21 Jamba: OpenAI's chat completion with limits and defaults of its own.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-jamba.html
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from outcrop.context import Context
from outcrop.engines.engine import Finish
from outcrop.errors import ValidationException
from outcrop.inference.answer import Answer
from outcrop.inference.blocks import Piece
from outcrop.inference.families import openai_request, openai_response
from outcrop.inference.families.body import Member, array, integer, mapping, number, opened
from outcrop.inference.families.family import Answering, Asked
from outcrop.inference.families.prompts import check_generates, most_tokens
from outcrop.models.model import Model

MEMBERS = {
    "messages": array(required=True),
    "max_tokens": integer(1),
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "stop": Member(("String", "JSONArray")),
    "n": integer(1, 16),
    "frequency_penalty": number(-2, 2),
    "presence_penalty": number(-2, 2),
    "tools": array(),
    "tool_choice": Member(("String", "JSONObject")),
    "response_format": mapping(),
}
DEFAULT_TOKENS = 4096
DEFAULTS = {"temperature": 1.0, "top_p": 1.0}


async def read(ctx: Context, model: Model, body: bytes) -> Asked:
    given = {**DEFAULTS, **opened(body, MEMBERS)}
    check_generates(model)
    if given.get("n", 1) > 1:
        raise ValidationException("n: This model gives one choice a request. Use 1 and try again.")
    given["max_tokens"] = most_tokens(given, "max_tokens", DEFAULT_TOKENS, model)
    return await openai_request.asked(ctx, model, given)


def write(answering: Answering, answer: Answer) -> dict[str, Any]:
    return openai_response.completion(answering, answer)


async def chunks(answering: Answering, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[dict[str, Any], None]:
    """The chunk that ends the answer has its usage. One more follows for the invocation's metrics: AI21's own client
    waits for it before it hands out the one before.
    """
    ended: list[Finish] = []
    async for chunk in openai_response.chunks(answering, _watched(pieces, ended)):
        yield {**chunk, "usage": openai_response.usage(ended[0].usage)} if ended else chunk
    yield {}


async def _watched(pieces: AsyncGenerator[Piece, None], ended: list[Finish]) -> AsyncGenerator[Piece, None]:
    async for piece in pieces:
        if isinstance(piece, Finish):
            ended.append(piece)
        yield piece
