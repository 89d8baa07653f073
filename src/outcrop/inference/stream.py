"""ConverseStream's events, in the order that Bedrock sends them.

messageStart; for each block contentBlockStart (tool calls only), contentBlockDelta..., contentBlockStop; messageStop;
metadata.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextlib import aclosing

from outcrop.engines.engine import Finish
from outcrop.inference.answer import STOP_REASONS, tool_input
from outcrop.inference.blocks import BlockDelta, Blocks, BlockStart, BlockStop, Piece
from outcrop.inference.generation import Running
from outcrop.shapes.bedrock_runtime import (
    ContentBlockDelta,
    ContentBlockStart,
    ConverseStreamMetadataEvent,
    ConverseStreamOutput,
    MessageStopEvent,
)

Metadata = Callable[[Finish], ConverseStreamMetadataEvent]
Stop = Callable[[Finish, str], MessageStopEvent]
Sign = Callable[[str, str | None], str]


async def events(
    deltas: Running, blocks: Blocks, stop: Stop, metadata: Metadata, sign: Sign
) -> AsyncGenerator[ConverseStreamOutput, None]:
    """`stop` and `metadata` make the last two events from the end of the answer; `sign` signs a block of reasoning."""
    async with aclosing(deltas), aclosing(_pieces(deltas, blocks)) as pieces:
        async for event in events_of(pieces, stop, metadata, sign):
            yield event


async def events_of(
    pieces: AsyncIterator[Piece], stop: Stop, metadata: Metadata, sign: Sign
) -> AsyncGenerator[ConverseStreamOutput, None]:
    """The same, of an answer that is cut into pieces already."""
    writer = _Events(sign)
    yield {"messageStart": {"role": "assistant"}}
    async for piece in pieces:
        if isinstance(piece, Finish):
            yield {"messageStop": stop(piece, writer.stop_reason(piece))}
            yield {"metadata": metadata(piece)}
        else:
            for event in writer.of(piece):
                yield event


async def _pieces(deltas: Running, blocks: Blocks) -> AsyncGenerator[Piece, None]:
    async for delta in deltas:
        for piece in blocks.feed(delta):
            yield piece


class _Events:
    def __init__(self, sign: Sign) -> None:
        self._sign = sign
        self._text: list[str] = []
        self._malformed = False

    def stop_reason(self, finish: Finish) -> str:
        malformed = self._malformed and finish.reason in ("stop", "tool_calls")
        return "malformed_tool_use" if malformed else STOP_REASONS[finish.reason]

    def of(self, piece: Piece) -> Iterator[ConverseStreamOutput]:
        if isinstance(piece, BlockDelta):
            yield self._delta(piece)
        elif isinstance(piece, BlockStart):
            self._text.clear()
            if piece.kind == "tool":
                start: ContentBlockStart = {"toolUse": {"toolUseId": piece.id, "name": piece.name}}
                yield {"contentBlockStart": {"start": start, "contentBlockIndex": piece.index}}
        elif isinstance(piece, BlockStop):
            yield from self._end(piece)

    def _delta(self, piece: BlockDelta) -> ConverseStreamOutput:
        delta: ContentBlockDelta
        if piece.kind == "text":
            delta = {"text": piece.text}
        else:
            self._text.append(piece.text)
            delta = (
                {"toolUse": {"input": piece.text}}
                if piece.kind == "tool"
                else {"reasoningContent": {"text": piece.text}}
            )
        return {"contentBlockDelta": {"delta": delta, "contentBlockIndex": piece.index}}

    def _end(self, piece: BlockStop) -> Iterator[ConverseStreamOutput]:
        if piece.kind == "reasoning":
            signature: ContentBlockDelta = {
                "reasoningContent": {"signature": self._sign("".join(self._text), piece.signature)}
            }
            yield {"contentBlockDelta": {"delta": signature, "contentBlockIndex": piece.index}}
        elif piece.kind == "tool" and tool_input("".join(self._text)) is None:
            self._malformed = True
        yield {"contentBlockStop": {"contentBlockIndex": piece.index}}
