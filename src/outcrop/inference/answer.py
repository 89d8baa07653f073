"""A whole answer, folded from its pieces."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import orjson

from outcrop.engines.engine import Delta, Finish, FinishReason
from outcrop.inference.blocks import BlockDelta, Blocks, BlockStart, BlockStop, Kind, Piece
from outcrop.shapes.bedrock_runtime import ContentBlock, ReasoningTextBlock

STOP_REASONS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "context": "model_context_window_exceeded",
    "tool_calls": "tool_use",
    "content_filter": "content_filtered",
    "malformed_tool_call": "malformed_tool_use",
}


@dataclass(slots=True)
class Block:
    """`pieces` joined are text, reasoning, or the JSON of a tool's input; `signature` is the engine's own."""

    kind: Kind
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    signature: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(slots=True)
class Answer:
    """`malformed`: a call's input is no JSON object although the engine took it for one."""

    blocks: list[Block]
    finish: Finish
    malformed: bool

    @property
    def stop_reason(self) -> str:
        return "malformed_tool_use" if self.malformed else STOP_REASONS[self.finish.reason]


def collect(deltas: Iterable[Delta], blocks: Blocks) -> Answer:
    """Deltas end with `Finish`."""
    return folded(piece for delta in deltas for piece in blocks.feed(delta))


def folded(pieces: Iterable[Piece]) -> Answer:
    """Pieces end with `Finish`. Calls that were cut off or cannot be read are left out of the blocks."""
    made: list[Block] = []
    finish: Finish | None = None
    for piece in pieces:
        if isinstance(piece, BlockStart):
            made.append(Block(piece.kind, piece.id, piece.name))
        elif isinstance(piece, BlockDelta):
            made[-1].pieces.append(piece.text)
        elif isinstance(piece, BlockStop):
            made[-1].signature = piece.signature
        elif isinstance(piece, Finish):
            finish = piece
    assert finish is not None
    readable = [block for block in made if block.kind != "tool" or tool_input(block.text) is not None]
    return Answer(readable, finish, malformed=len(readable) < len(made) and finish.reason in ("stop", "tool_calls"))


def tool_input(text: str) -> dict[str, Any] | None:
    """The object that the fragments spell, {} for none at all; None if it is not a JSON object."""
    if not text:
        return {}
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def content(block: Block, signature: str | None = None) -> ContentBlock:
    """One block of Converse's output message."""
    if block.kind == "text":
        return {"text": block.text}
    if block.kind == "reasoning":
        reasoning: ReasoningTextBlock = {"text": block.text}
        if signature is not None:
            reasoning["signature"] = signature
        return {"reasoningContent": {"reasoningText": reasoning}}
    return {"toolUse": {"toolUseId": block.id, "name": block.name, "input": tool_input(block.text) or {}}}


def tool_use_id() -> str:
    """`tooluse_` and 22 letters, as Converse's are."""
    return f"tooluse_{secrets.token_urlsafe(16)}"
