"""Anthropic Messages (Claude), and the native body of chat models whose provider has none of its own.

The body is checked by `anthropic_schema`, read by `anthropic_request` and answered by `anthropic_response`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from outcrop.inference.answer import Answer
from outcrop.inference.blocks import Piece
from outcrop.inference.families import anthropic_response
from outcrop.inference.families.anthropic_request import read
from outcrop.inference.families.family import Answering
from outcrop.inference.reasoning import Signer


def write(answering: Answering, answer: Answer) -> dict[str, Any]:
    return anthropic_response.message(answer, _name(answering), Signer(answering.ctx.parts.vault))


def chunks(answering: Answering, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[dict[str, Any], None]:
    signer = Signer(answering.ctx.parts.vault)
    return anthropic_response.events(pieces, _name(answering), answering.prompt_tokens, signer)


def _name(answering: Answering) -> str:
    """As the caller's body has it, where a body may."""
    return answering.asked.given.get("model") or answering.model.id


__all__ = ["chunks", "read", "write"]
