"""An answer as a chat completion, whole or in chunks.

`tagged`: reasoning stands in the content within <reasoning> tags, else beside it as `reasoning_content`.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Iterator
from typing import Any

from outcrop.engines.engine import Finish, FinishReason, Usage
from outcrop.errors import ModelErrorException, ModelStreamErrorException
from outcrop.inference.answer import Answer, Block, tool_input
from outcrop.inference.blocks import BlockDelta, BlockStart, BlockStop, Piece
from outcrop.inference.families.family import Answering

FINISH_REASONS: dict[FinishReason, str] = {
    "stop": "stop",
    "stop_sequence": "stop",
    "length": "length",
    "context": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}
MALFORMED = "The model called a tool in a way that cannot be read."
OPENING, CLOSING = "<reasoning>", "</reasoning>"


def completion(answering: Answering, answer: Answer, *, tagged: bool = False) -> dict[str, Any]:
    """The response body. ModelErrorException for a call that cannot be read, which this format has no word for."""
    if answer.malformed or answer.finish.reason not in FINISH_REASONS:
        members = {"originalStatusCode": 500, "resourceName": answering.model.id}
        raise ModelErrorException(MALFORMED, members=members)
    choice = {
        "index": 0,
        "message": _message(answer, tagged=tagged),
        "logprobs": None,
        "finish_reason": FINISH_REASONS[answer.finish.reason],
    }
    return {**_head(answering, "chat.completion"), "choices": [choice], "usage": usage(answer.finish.usage)}


def usage(used: Usage) -> dict[str, Any]:
    """`prompt_tokens` is the whole prompt, with what came from the cache."""
    return {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.input_tokens + used.output_tokens,
        "prompt_tokens_details": {"cached_tokens": min(used.cached_tokens, used.input_tokens)},
    }


def _head(answering: Answering, kind: str) -> dict[str, Any]:
    name = answering.asked.given.get("model") or answering.model.id
    return {"id": f"chatcmpl-{secrets.token_hex(12)}", "object": kind, "created": int(time.time()), "model": name}


def _message(answer: Answer, *, tagged: bool) -> dict[str, Any]:
    text = _joined(answer, "text")
    reasoning = _joined(answer, "reasoning")
    calls = [_call(block) for block in answer.blocks if block.kind == "tool"]
    if tagged and reasoning:
        text = f"{OPENING}{reasoning}{CLOSING}{text}"
    message: dict[str, Any] = {"role": "assistant", "content": text if text or not calls else None, "refusal": None}
    if reasoning and not tagged:
        message["reasoning_content"] = reasoning
    if calls:
        message["tool_calls"] = calls
    return message


def _joined(answer: Answer, kind: str) -> str:
    return "".join(block.text for block in answer.blocks if block.kind == kind)


def _call(block: Block) -> dict[str, Any]:
    return {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": block.text}}


async def chunks(
    answering: Answering, pieces: AsyncGenerator[Piece, None], *, tagged: bool = False
) -> AsyncGenerator[dict[str, Any], None]:
    """A chunk for the role, one a piece, one for the end; with `stream_options.include_usage` one more for the usage."""
    head = _head(answering, "chat.completion.chunk")
    counted = bool(answering.asked.given.get("stream_options", {}).get("include_usage"))
    ending: dict[str, Any] = {"usage": None} if counted else {}
    writer = _Deltas(tagged=tagged)
    yield {**head, "choices": [_choice({"role": "assistant", "content": ""})], **ending}
    async for piece in pieces:
        if isinstance(piece, Finish):
            yield {**head, "choices": [_choice({}, writer.finish_reason(piece))], **ending}
            if counted:
                yield {**head, "choices": [], "usage": usage(piece.usage)}
        else:
            for delta in writer.of(piece):
                yield {**head, "choices": [_choice(delta)], **ending}


def _choice(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


class _Deltas:
    """Numbers the tool calls, and notices one that cannot be read."""

    def __init__(self, *, tagged: bool) -> None:
        self._tagged = tagged
        self._calls = -1
        self._fragments: list[str] = []
        self._malformed = False

    def of(self, piece: Piece) -> Iterator[dict[str, Any]]:
        if isinstance(piece, BlockStart):
            if piece.kind == "tool":
                yield self._begin(piece)
            elif piece.kind == "reasoning" and self._tagged:
                yield {"content": OPENING}
        elif isinstance(piece, BlockDelta):
            yield self._delta(piece)
        elif isinstance(piece, BlockStop):
            if piece.kind == "reasoning" and self._tagged:
                yield {"content": CLOSING}
            elif piece.kind == "tool" and tool_input("".join(self._fragments)) is None:
                self._malformed = True

    def finish_reason(self, finish: Finish) -> str:
        """ModelStreamErrorException where the whole answer would be an error."""
        malformed = self._malformed and finish.reason in ("stop", "tool_calls")
        if malformed or finish.reason not in FINISH_REASONS:
            members = {"originalStatusCode": 500, "originalMessage": MALFORMED}
            raise ModelStreamErrorException(MALFORMED, members=members)
        return FINISH_REASONS[finish.reason]

    def _begin(self, piece: BlockStart) -> dict[str, Any]:
        self._calls += 1
        self._fragments.clear()
        function = {"name": piece.name, "arguments": ""}
        return {"tool_calls": [{"index": self._calls, "id": piece.id, "type": "function", "function": function}]}

    def _delta(self, piece: BlockDelta) -> dict[str, Any]:
        if piece.kind == "tool":
            self._fragments.append(piece.text)
            return {"tool_calls": [{"index": self._calls, "function": {"arguments": piece.text}}]}
        return {"reasoning_content" if piece.kind == "reasoning" and not self._tagged else "content": piece.text}
