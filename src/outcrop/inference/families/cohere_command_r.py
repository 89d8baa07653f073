"""Cohere Command R and R+. The body is read by `cohere_request`.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-cohere-command-r-plus.html
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from typing import Any

from outcrop.engines.engine import Finish
from outcrop.inference.answer import Answer, folded, tool_input
from outcrop.inference.blocks import Piece
from outcrop.inference.families.cohere_command import FINISH_REASONS
from outcrop.inference.families.cohere_request import read
from outcrop.inference.families.family import Answering
from outcrop.inference.families.prompts import said, text_of
from outcrop.inference.usage import counts


def write(answering: Answering, answer: Answer) -> dict[str, Any]:
    given = answering.asked.given
    calls = _calls(answer)
    reply: dict[str, Any] = {"role": "CHATBOT", "message": text_of(answer)}
    response = {
        "response_id": str(uuid.uuid4()),
        "generation_id": str(uuid.uuid4()),
        "text": text_of(answer),
        "finish_reason": "ERROR" if answer.malformed else FINISH_REASONS[answer.finish.reason],
        "chat_history": [*_history(given), {**reply, "tool_calls": calls} if calls else reply],
        "meta": _meta(answer.finish),
    }
    return {**response, "tool_calls": calls} if calls else response


def _history(given: Any) -> list[dict[str, Any]]:
    """The conversation up to the answer, to be sent with the next message."""
    history = list(given.get("chat_history", ()))
    if given["message"]:
        history.append({"role": "USER", "message": given["message"]})
    if given.get("tool_results"):
        history.append({"role": "TOOL", "tool_results": given["tool_results"]})
    return history


def _meta(finish: Finish) -> dict[str, Any]:
    count = counts(finish.usage)
    billed = {"input_tokens": count.fresh + count.cached + count.written, "output_tokens": count.output}
    return {"api_version": {"version": "1"}, "billed_units": billed}


def _calls(answer: Answer) -> list[dict[str, Any]]:
    calls = [block for block in answer.blocks if block.kind == "tool"]
    return [{"name": call.name, "parameters": tool_input(call.text)} for call in calls]


async def chunks(answering: Answering, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[dict[str, Any], None]:
    """The text as it comes, the calls when they are whole, and at the end the whole response once more."""
    made: list[Piece] = []
    async for piece in pieces:
        made.append(piece)
        if isinstance(piece, Finish):
            answer = folded(made)
            if calls := _calls(answer):
                yield {"event_type": "tool-calls-generation", "is_finished": False, "tool_calls": calls}
            response = write(answering, answer)
            yield {
                "event_type": "stream-end",
                "is_finished": True,
                "finish_reason": response["finish_reason"],
                "response": response,
            }
        elif text := said(piece):
            yield {"event_type": "text-generation", "is_finished": False, "text": text}


__all__ = ["chunks", "read", "write"]
