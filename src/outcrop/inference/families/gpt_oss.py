"""OpenAI's gpt-oss on Bedrock: chat completions whose reasoning stands in the content, within <reasoning> tags."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from outcrop.inference.answer import Answer
from outcrop.inference.blocks import Piece
from outcrop.inference.families import openai_response
from outcrop.inference.families.family import Answering
from outcrop.inference.families.openai_request import read


def write(answering: Answering, answer: Answer) -> dict[str, Any]:
    return openai_response.completion(answering, answer, tagged=True)


def chunks(answering: Answering, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[dict[str, Any], None]:
    return openai_response.chunks(answering, pieces, tagged=True)


__all__ = ["chunks", "read", "write"]
