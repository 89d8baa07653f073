"""Mistral's two bodies. Which of them a request is, its keys say: clients send prompts to the chat models too."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from outcrop.context import Context
from outcrop.inference.answer import Answer
from outcrop.inference.blocks import Piece
from outcrop.inference.families import mistral_chat, mistral_text
from outcrop.inference.families.body import keys
from outcrop.inference.families.family import Answering, Asked, Generating
from outcrop.models.model import Model


async def read(ctx: Context, model: Model, body: bytes) -> Asked:
    """A body that is neither is judged as the one that the model's name stands for."""
    given = keys(body)
    chat = "messages" in given or (model.family == "mistral-chat" and "prompt" not in given)
    return await _form(chat=chat).read(ctx, model, body)


def write(answering: Answering, answer: Answer) -> dict[str, Any]:
    return _form(chat="messages" in answering.asked.given).write(answering, answer)


def chunks(answering: Answering, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[dict[str, Any], None]:
    return _form(chat="messages" in answering.asked.given).chunks(answering, pieces)


def _form(*, chat: bool) -> Generating:
    return mistral_chat if chat else mistral_text
