"""An engine's deltas cut into content blocks. Both wire formats, streamed or whole, are written from these pieces.

Blocks do not interleave and are numbered from 0. Empty deltas make no block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from outcrop.engines.engine import (
    Delta,
    Finish,
    ReasoningDelta,
    ReasoningSignature,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
)

Kind: TypeAlias = Literal["text", "reasoning", "tool"]


@dataclass(frozen=True, slots=True)
class BlockStart:
    """`id` and `name` are those of a tool call, empty otherwise."""

    index: int
    kind: Kind
    id: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class BlockDelta:
    """`text` is text, reasoning, or a fragment of the JSON of a tool's input."""

    index: int
    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class BlockStop:
    """`signature` is the engine's own, of a block of reasoning."""

    index: int
    kind: Kind
    signature: str | None = None


Piece: TypeAlias = BlockStart | BlockDelta | BlockStop | Finish


class Blocks:
    """Feed it every delta in the order that `generation` checks; the pieces of `feed` in a row are the answer."""

    def __init__(self, tool_use_id: Callable[[], str], *, one_tool: bool = False) -> None:
        self._tool_use_id = tool_use_id
        self._one_tool = one_tool
        self._index = -1
        self._open: Kind | None = None
        self._silent = True
        self._signature: str | None = None

    def feed(self, delta: Delta) -> list[Piece]:
        if isinstance(delta, TextDelta):
            return self._prose("text", delta.text)
        if isinstance(delta, ReasoningDelta):
            return self._prose("reasoning", delta.text)
        if isinstance(delta, ReasoningSignature):
            return self._signed(delta.signature)
        if isinstance(delta, Finish):
            return [*self._close(), delta]
        if self._one_tool and delta.index > 0:
            return []
        return self._begin_call(delta) if isinstance(delta, ToolCallStart) else self._fragment(delta)

    def _prose(self, kind: Kind, text: str) -> list[Piece]:
        if not text:
            return []
        if self._open == kind:
            return [BlockDelta(self._index, kind, text)]
        return [*self._begin(kind), BlockDelta(self._index, kind, text)]

    def _signed(self, signature: str) -> list[Piece]:
        """A model may sign what it does not show: a block without text."""
        begun = [] if self._open == "reasoning" else self._begin("reasoning")
        self._signature = signature
        return begun

    def _begin_call(self, call: ToolCallStart) -> list[Piece]:
        # Engines number their calls from 0 in every answer; callers need ids that stay apart in a long conversation.
        return self._begin("tool", self._tool_use_id(), call.name)

    def _fragment(self, delta: ToolCallDelta) -> list[Piece]:
        if not delta.fragment:
            return []
        self._silent = False
        return [BlockDelta(self._index, "tool", delta.fragment)]

    def _begin(self, kind: Kind, call_id: str = "", name: str = "") -> list[Piece]:
        closed = self._close()
        self._index += 1
        self._open = kind
        self._silent = True
        return [*closed, BlockStart(self._index, kind, call_id, name)]

    def _close(self) -> list[Piece]:
        if self._open is None:
            return []
        kind, self._open = self._open, None
        stop, self._signature = BlockStop(self._index, kind, self._signature), None
        # A call without arguments: clients parse what they joined, and "" is not JSON.
        return [BlockDelta(self._index, kind, "{}"), stop] if kind == "tool" and self._silent else [stop]
