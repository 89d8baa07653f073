"""OpenAI's chat completion of imported models: `openai_chat`, and a schema in `structured_outputs`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import orjson

from outcrop.context import Context
from outcrop.inference.answer import Answer
from outcrop.inference.blocks import Piece
from outcrop.inference.families import openai_request, openai_response
from outcrop.inference.families.body import mapping, opened
from outcrop.inference.families.family import Answering, Asked
from outcrop.inference.families.imported_schema import response_format_of
from outcrop.inference.families.openai_completion import model_name
from outcrop.models.model import Model

MEMBERS = {**openai_request.MEMBERS, "structured_outputs": mapping()}


async def read(ctx: Context, model: Model, body: bytes) -> Asked:
    given = opened(body, MEMBERS)
    if "structured_outputs" in given:
        given["response_format"] = response_format_of(given)
        del given["structured_outputs"]
        body = orjson.dumps(given)
    return await openai_request.read(ctx, model, body)


def write(answering: Answering, answer: Answer) -> dict[str, Any]:
    return {**openai_response.completion(answering, answer), "model": model_name(answering)}


async def chunks(answering: Answering, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[dict[str, Any], None]:
    async for chunk in openai_response.chunks(answering, pieces):
        yield {**chunk, "model": model_name(answering)}
