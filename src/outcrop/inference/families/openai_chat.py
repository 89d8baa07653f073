"""OpenAI's chat completions: gpt-oss, Qwen, DeepSeek V3, Gemma and most open models, and imported ones.

The body is read by `openai_request` and answered by `openai_response`. Reasoning is `reasoning_content` beside the
content, as vLLM and DeepSeek have it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from outcrop.inference.answer import Answer
from outcrop.inference.blocks import Piece
from outcrop.inference.families import openai_response
from outcrop.inference.families.family import Answering
from outcrop.inference.families.openai_request import read


def write(answering: Answering, answer: Answer) -> dict[str, Any]:
    return openai_response.completion(answering, answer)


def chunks(answering: Answering, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[dict[str, Any], None]:
    return openai_response.chunks(answering, pieces)


__all__ = ["chunks", "read", "write"]
