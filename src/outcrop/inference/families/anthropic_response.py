"""An answer as an Anthropic message, whole or as the Messages API's streaming events."""

from __future__ import annotations

import secrets
import string
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Any

from outcrop.engines.engine import Finish, FinishReason, Usage
from outcrop.errors import ModelErrorException, ModelStreamErrorException
from outcrop.inference.answer import Answer, Block, tool_input
from outcrop.inference.blocks import BlockDelta, BlockStart, BlockStop, Piece
from outcrop.inference.reasoning import Signer
from outcrop.inference.usage import counts

STOP_REASONS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "context": "model_context_window_exceeded",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
MALFORMED = "The model called a tool in a way that cannot be read."
_LETTERS = string.ascii_letters + string.digits


def message_id() -> str:
    return "msg_bdrk_" + "".join(secrets.choice(_LETTERS) for _ in range(24))


def tool_use_id() -> str:
    return "toolu_bdrk_" + "".join(secrets.choice(_LETTERS) for _ in range(24))


def message(answer: Answer, model_id: str, signer: Signer) -> dict[str, Any]:
    """The response body. ModelErrorException for a call that cannot be read, which this format has no word for."""
    if answer.malformed or answer.finish.reason not in STOP_REASONS:
        raise ModelErrorException(MALFORMED, members={"originalStatusCode": 500, "resourceName": model_id})
    return {
        **_opening(model_id),
        "content": [_content(block, signer) for block in answer.blocks],
        "stop_reason": STOP_REASONS[answer.finish.reason],
        "stop_sequence": answer.finish.stop_sequence,
        "usage": usage(answer.finish.usage),
    }


def usage(used: Usage) -> dict[str, Any]:
    count = counts(used)
    return {
        "input_tokens": count.fresh,
        "cache_creation_input_tokens": count.written,
        "cache_read_input_tokens": count.cached,
        "cache_creation": {"ephemeral_5m_input_tokens": count.written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": count.output,
    }


def _opening(model_id: str) -> dict[str, Any]:
    return {"id": message_id(), "type": "message", "role": "assistant", "model": model_id}


def _content(block: Block, signer: Signer) -> dict[str, Any]:
    if block.kind == "text":
        return {"type": "text", "text": block.text}
    if block.kind == "reasoning":
        return {"type": "thinking", "thinking": block.text, "signature": signer.sign(block.text, block.signature)}
    return {"type": "tool_use", "id": block.id, "name": block.name, "input": tool_input(block.text)}


async def events(
    pieces: AsyncGenerator[Piece, None], model_id: str, prompt_tokens: Callable[[], Awaitable[int]], signer: Signer
) -> AsyncGenerator[dict[str, Any], None]:
    """The streaming events. `prompt_tokens` is for message_start, which comes before the engine's own count."""
    writer = _Events(signer)
    opening = usage(Usage(await prompt_tokens(), 1))
    start = {**_opening(model_id), "content": [], "stop_reason": None, "stop_sequence": None, "usage": opening}
    yield {"type": "message_start", "message": start}
    async for piece in pieces:
        for event in writer.ending(piece) if isinstance(piece, Finish) else writer.of(piece):
            yield event


def _malformed() -> ModelStreamErrorException:
    return ModelStreamErrorException(MALFORMED, members={"originalStatusCode": 500, "originalMessage": MALFORMED})


class _Events:
    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self._text: list[str] = []
        self._malformed = False

    def ending(self, finish: Finish) -> Iterator[dict[str, Any]]:
        """ModelStreamErrorException where the whole answer would be an error."""
        malformed = self._malformed and finish.reason in ("stop", "tool_calls")
        if malformed or finish.reason not in STOP_REASONS:
            raise _malformed()
        change = {"stop_reason": STOP_REASONS[finish.reason], "stop_sequence": finish.stop_sequence}
        yield {"type": "message_delta", "delta": change, "usage": usage(finish.usage)}
        yield {"type": "message_stop"}

    def of(self, piece: Piece) -> Iterator[dict[str, Any]]:
        if isinstance(piece, BlockDelta):
            self._text.append(piece.text)
            yield _delta(piece.index, _DELTAS[piece.kind], piece.text)
        elif isinstance(piece, BlockStart):
            self._text.clear()
            yield {"type": "content_block_start", "index": piece.index, "content_block": _empty(piece)}
        elif isinstance(piece, BlockStop):
            yield from self._end(piece)

    def _end(self, piece: BlockStop) -> Iterator[dict[str, Any]]:
        if piece.kind == "reasoning":
            signature = self._signer.sign("".join(self._text), piece.signature)
            yield _delta(piece.index, ("signature_delta", "signature"), signature)
        elif piece.kind == "tool" and tool_input("".join(self._text)) is None:
            self._malformed = True
        yield {"type": "content_block_stop", "index": piece.index}


_DELTAS = {
    "text": ("text_delta", "text"),
    "tool": ("input_json_delta", "partial_json"),
    "reasoning": ("thinking_delta", "thinking"),
}


def _delta(index: int, kind: tuple[str, str], text: str) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind[0], kind[1]: text}}


def _empty(piece: BlockStart) -> dict[str, Any]:
    if piece.kind == "text":
        return {"type": "text", "text": ""}
    if piece.kind == "reasoning":
        return {"type": "thinking", "thinking": "", "signature": ""}
    return {"type": "tool_use", "id": piece.id, "name": piece.name, "input": {}}
