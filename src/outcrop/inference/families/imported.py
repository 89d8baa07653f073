"""Imported models, whose bodies have one of three forms; which, their keys say.

`messages`: OpenAI's chat completion. `prompt` with `max_tokens`: OpenAI's completion. `prompt` alone or with
`max_gen_len`: Bedrock's completion, which is Llama's and a little more.
Source: https://docs.aws.amazon.com/bedrock/latest/userguide/invoke-imported-model.html
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from outcrop.context import Context
from outcrop.inference.answer import Answer
from outcrop.inference.blocks import Piece
from outcrop.inference.families import imported_chat, imported_completion, openai_completion
from outcrop.inference.families.body import keys
from outcrop.inference.families.family import Answering, Asked, Generating
from outcrop.models.model import Model


async def read(ctx: Context, model: Model, body: bytes) -> Asked:
    return await _form(keys(body)).read(ctx, model, body)


def write(answering: Answering, answer: Answer) -> dict[str, Any]:
    return _form(answering.asked.given).write(answering, answer)


def chunks(answering: Answering, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[dict[str, Any], None]:
    return _form(answering.asked.given).chunks(answering, pieces)


def _form(given: Any) -> Generating:
    if "messages" in given:
        return imported_chat
    return openai_completion if "max_tokens" in given else imported_completion
