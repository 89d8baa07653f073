"""Cohere Command (before Command R): plain text, which the model is shown in its own chat template.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-cohere-command.html
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from outcrop.context import Context
from outcrop.engines.engine import ChatRequest, Finish, FinishReason, Message, Sampling, Text
from outcrop.errors import ValidationException
from outcrop.inference.answer import Answer
from outcrop.inference.blocks import Piece
from outcrop.inference.families.body import array, boolean, integer, mapping, number, opened, string
from outcrop.inference.families.family import Answering, Asked
from outcrop.inference.families.prompts import check_generates, most_tokens, said, text_of
from outcrop.models.model import Model

MEMBERS = {
    "prompt": string(required=True, shortest=1),
    "max_tokens": integer(1),
    "temperature": number(0, 5),
    "p": number(0, 1),
    "k": integer(0, 500),
    "stop_sequences": array(string(shortest=1), most=4),
    "return_likelihoods": string(choices=("NONE", "GENERATION", "ALL")),
    "stream": boolean(),
    "num_generations": integer(1, 5),
    "logit_bias": mapping(),
    "truncate": string(choices=("NONE", "START", "END")),
}
DEFAULT_TOKENS = 20
DEFAULT_TEMPERATURE = 0.9
DEFAULT_P = 0.75
FINISH_REASONS: Mapping[FinishReason, str] = {
    "stop": "COMPLETE",
    "stop_sequence": "COMPLETE",
    "tool_calls": "COMPLETE",
    "length": "MAX_TOKENS",
    "context": "ERROR_LIMIT",
    "content_filter": "ERROR_TOXIC",
    "malformed_tool_call": "ERROR",
}


async def read(ctx: Context, model: Model, body: bytes) -> Asked:
    given = opened(body, MEMBERS)
    check_generates(model)
    _refuse(given)
    sampling = Sampling(
        max_tokens=most_tokens(given, "max_tokens", DEFAULT_TOKENS, model),
        temperature=given.get("temperature", DEFAULT_TEMPERATURE),
        top_p=given.get("p", DEFAULT_P),
        top_k=given.get("k"),
        stop=tuple(given.get("stop_sequences", ())),
    )
    turn = Message("user", (Text(given["prompt"]),))
    return Asked(ChatRequest((turn,), sampling=sampling), given)


def _refuse(given: Mapping[str, Any]) -> None:
    """What would change the answer and cannot be done."""
    if given.get("num_generations", 1) > 1:
        raise ValidationException("num_generations: This model makes one generation a request. Use 1 and try again.")
    if given.get("return_likelihoods", "NONE") != "NONE":
        raise ValidationException("return_likelihoods: This model doesn't support likelihoods. Use NONE and try again.")
    if given.get("logit_bias"):
        raise ValidationException("logit_bias: This model doesn't support logit biases.")
    if given.get("truncate", "NONE") != "NONE":
        raise ValidationException("truncate: This model doesn't cut prompts. Use NONE and try again.")


def write(answering: Answering, answer: Answer) -> dict[str, Any]:
    return _generations(answering, text_of(answer), FINISH_REASONS[answer.finish.reason])


async def chunks(answering: Answering, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[dict[str, Any], None]:
    """The last one repeats the whole answer, as Cohere's does."""
    texts: list[str] = []
    async for piece in pieces:
        if isinstance(piece, Finish):
            reason = FINISH_REASONS[piece.reason]
            response = _generations(answering, "".join(texts), reason)
            yield {
                "event_type": "stream-end", "index": 0, "is_finished": True, "finish_reason": reason, "text": "",
                "response": response,
            }  # fmt: skip
        elif text := said(piece):
            texts.append(text)
            yield {"event_type": "text-generation", "index": 0, "is_finished": False, "text": text}


def _generations(answering: Answering, text: str, finish_reason: str) -> dict[str, Any]:
    generation = {"finish_reason": finish_reason, "id": str(uuid.uuid4()), "index": 0, "text": text}
    return {"generations": [generation], "id": str(uuid.uuid4()), "prompt": answering.asked.given["prompt"]}
