"""What families have in common whose body is a prompt, and whose answer is a text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outcrop.engines.engine import FinishReason
from outcrop.errors import ValidationException
from outcrop.inference.answer import Answer
from outcrop.inference.blocks import BlockDelta, Piece
from outcrop.inference.malformed import Violations
from outcrop.models.model import Model

# Llama's, Mistral's and DeepSeek's words. A stop sequence is a stop like another.
STOP_REASONS: Mapping[FinishReason, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "context": "length",
    "content_filter": "content_filter",
    # A completion has no tools; were one to call some, it would have ended its turn.
    "tool_calls": "stop",
    "malformed_tool_call": "stop",
}


def check_generates(model: Model) -> None:
    if not model.capabilities.chat:
        raise ValidationException("This model doesn't support text generation.")


def most_tokens(given: Mapping[str, Any], name: str, default: int | None, model: Model, at: str = "#") -> int | None:
    """The number of tokens to generate: what is asked, refused above the model's limit, or the family's default.

    A default of None is the model's own.
    """
    limit = model.max_output_tokens
    if name not in given:
        return model.default_max_tokens if default is None else min(default, limit)
    found = Violations()
    found.within(f"{at}/{name}", given[name], None, limit)
    found.raise_any()
    return int(given[name])


def text_of(answer: Answer) -> str:
    """What was said. Thoughts are none of it, and these families have no member for them."""
    return "".join(block.text for block in answer.blocks if block.kind == "text")


def said(piece: Piece) -> str:
    """The text of a piece; "" for a piece that is none."""
    return piece.text if isinstance(piece, BlockDelta) and piece.kind == "text" else ""
