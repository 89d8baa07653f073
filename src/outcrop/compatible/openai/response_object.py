"""The Response object, its output items, and the streaming events that build it up."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Iterator, Mapping
from typing import Any

from outcrop.engines.engine import Finish, FinishReason, Usage
from outcrop.errors import ModelErrorException, ModelStreamErrorException
from outcrop.inference.answer import Answer, tool_input
from outcrop.inference.blocks import BlockDelta, BlockStart, BlockStop, Kind, Piece
from outcrop.inference.families.openai_response import MALFORMED

# Why an answer is incomplete; the other reasons complete it.
_INCOMPLETE: Mapping[FinishReason, str] = {
    "length": "max_output_tokens",
    "context": "max_output_tokens",
    "content_filter": "content_filter",
}


def new_id(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(24)}"


def opening(given: Mapping[str, Any], created: int) -> dict[str, Any]:
    """A response in which nothing has been said yet."""
    return {
        "id": new_id("resp"),
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": given.get("instructions"),
        "max_output_tokens": given.get("max_output_tokens"),
        "metadata": given.get("metadata", {}),
        "model": given["model"],
        "output": [],
        "parallel_tool_calls": given.get("parallel_tool_calls", True),
        "previous_response_id": given.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None},
        "service_tier": given.get("service_tier", "default"),
        "store": given["store"],
        "temperature": given.get("temperature"),
        "text": given.get("text") or {"format": {"type": "text"}},
        "tool_choice": given.get("tool_choice", "auto"),
        "tools": given.get("tools", []),
        "top_p": given.get("top_p"),
        "truncation": "disabled",
        "usage": None,
        "user": given.get("user"),
    }


def whole(opened: Mapping[str, Any], answer: Answer, reasoning_tokens: int) -> dict[str, Any]:
    """The finished response. ModelErrorException for a call that cannot be read, which this format has no word for."""
    if answer.malformed or answer.finish.reason == "malformed_tool_call":
        members = {"originalStatusCode": 500, "resourceName": opened["model"]}
        raise ModelErrorException(MALFORMED, members=members)
    output = [_item(block.kind, block.text, block.id, block.name) for block in answer.blocks]
    return _finished(opened, output, answer.finish, reasoning_tokens)


def _finished(
    opened: Mapping[str, Any], output: list[dict[str, Any]], finish: Finish, reasoning_tokens: int
) -> dict[str, Any]:
    reason = _INCOMPLETE.get(finish.reason)
    return {
        **opened,
        "status": "completed" if reason is None else "incomplete",
        "incomplete_details": None if reason is None else {"reason": reason},
        "output": output,
        "usage": _usage(finish.usage, reasoning_tokens),
    }


def _usage(used: Usage, reasoning_tokens: int) -> dict[str, Any]:
    """`input_tokens` is the whole prompt, with what came from the cache."""
    return {
        "input_tokens": used.input_tokens,
        "input_tokens_details": {"cached_tokens": min(used.cached_tokens, used.input_tokens)},
        "output_tokens": used.output_tokens,
        "output_tokens_details": {"reasoning_tokens": reasoning_tokens},
        "total_tokens": used.input_tokens + used.output_tokens,
    }


def _item(
    kind: Kind, text: str, call_id: str, name: str, *, item_id: str = "", status: str = "completed"
) -> dict[str, Any]:
    if kind == "tool":
        call = {"arguments": text, "call_id": call_id, "name": name}
        return {"id": item_id or new_id("fc"), "type": "function_call", "status": status, **call}
    content: list[dict[str, Any]]
    if kind == "reasoning":
        content = [{"type": "reasoning_text", "text": text}]
        return {"id": item_id or new_id("rs"), "type": "reasoning", "summary": [], "content": content, "status": status}
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    content = [part] if status == "completed" else []
    return {
        "id": item_id or new_id("msg"),
        "type": "message",
        "status": status,
        "role": "assistant",
        "content": content,
    }


class Events:
    """Writes the events of one response, numbering them."""

    def __init__(self, opened: dict[str, Any]) -> None:
        self._opened = opened
        self._number = -1
        self._output: list[dict[str, Any]] = []
        self._start = BlockStart(0, "text")
        self._item_id = ""
        self._text: list[str] = []
        self._malformed = False
        self.reasoning = ""

    async def of(
        self, pieces: AsyncGenerator[Piece, None], reasoning_tokens: Any
    ) -> AsyncGenerator[dict[str, Any], None]:
        """`reasoning_tokens` counts the tokens of a text."""
        yield self._event("response.created", response=self._opened)
        yield self._event("response.in_progress", response=self._opened)
        async for piece in pieces:
            if isinstance(piece, Finish):
                yield self._end(piece, await reasoning_tokens(self.reasoning))
            else:
                for event in self._piece(piece):
                    yield event

    def _event(self, kind: str, **members: Any) -> dict[str, Any]:
        self._number += 1
        return {"type": kind, "sequence_number": self._number, **members}

    def _end(self, finish: Finish, reasoning_tokens: int) -> dict[str, Any]:
        """ModelStreamErrorException where the whole answer would be an error."""
        malformed = self._malformed and finish.reason in ("stop", "tool_calls")
        if malformed or finish.reason == "malformed_tool_call":
            members = {"originalStatusCode": 500, "originalMessage": MALFORMED}
            raise ModelStreamErrorException(MALFORMED, members=members)
        response = _finished(self._opened, self._output, finish, reasoning_tokens)
        return self._event(f"response.{response['status']}", response=response)

    def _piece(self, piece: BlockStart | BlockDelta | BlockStop) -> Iterator[dict[str, Any]]:
        at = {"output_index": piece.index}
        if isinstance(piece, BlockStart):
            self._start = piece
            self._item_id = new_id({"text": "msg", "reasoning": "rs", "tool": "fc"}[piece.kind])
            self._text = []
            yield self._event("response.output_item.added", item=self._shown("in_progress"), **at)
            if piece.kind != "tool":
                yield self._part("response.content_part.added", "", at)
        elif isinstance(piece, BlockDelta):
            self._text.append(piece.text)
            yield self._delta(piece, at)
        else:
            yield from self._stop(piece, at)

    def _shown(self, status: str) -> dict[str, Any]:
        text = "".join(self._text)
        item = _item(self._start.kind, text, self._start.id, self._start.name, item_id=self._item_id, status=status)
        return {**item, "content": []} if status != "completed" and self._start.kind == "reasoning" else item

    def _part(self, kind: str, text: str, at: Mapping[str, int]) -> dict[str, Any]:
        part: dict[str, Any] = {"type": "reasoning_text", "text": text}
        if self._start.kind == "text":
            part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
        return self._event(kind, item_id=self._item_id, content_index=0, part=part, **at)

    def _delta(self, piece: BlockDelta, at: Mapping[str, int]) -> dict[str, Any]:
        if piece.kind == "tool":
            return self._event("response.function_call_arguments.delta", item_id=self._item_id, delta=piece.text, **at)
        where = {"item_id": self._item_id, "content_index": 0, **at}
        if piece.kind == "reasoning":
            return self._event("response.reasoning_text.delta", delta=piece.text, **where)
        return self._event("response.output_text.delta", delta=piece.text, logprobs=[], **where)

    def _stop(self, piece: BlockStop, at: Mapping[str, int]) -> Iterator[dict[str, Any]]:
        text = "".join(self._text)
        where = {"item_id": self._item_id, **at}
        if piece.kind == "tool":
            self._malformed = self._malformed or tool_input(text) is None
            yield self._event("response.function_call_arguments.done", arguments=text, name=self._start.name, **where)
        elif piece.kind == "reasoning":
            self.reasoning += text
            yield self._event("response.reasoning_text.done", text=text, content_index=0, **where)
            yield self._part("response.content_part.done", text, at)
        else:
            yield self._event("response.output_text.done", text=text, logprobs=[], content_index=0, **where)
            yield self._part("response.content_part.done", text, at)
        item = self._shown("completed")
        self._output.append(item)
        yield self._event("response.output_item.done", item=item, **at)
