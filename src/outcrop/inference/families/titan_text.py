"""Amazon Titan Text: plain text, which the model is shown in its own chat template.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-text.html
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Literal

from outcrop.context import Context
from outcrop.engines.engine import ChatRequest, Finish, FinishReason, Message, Sampling, Text
from outcrop.inference.answer import Answer
from outcrop.inference.blocks import Piece
from outcrop.inference.families.body import array, integer, mapping, number, opened, string
from outcrop.inference.families.family import Answering, Asked
from outcrop.inference.families.prompts import check_generates, most_tokens, said, text_of
from outcrop.models.model import Model

MEMBERS = {
    "inputText": string(required=True, shortest=1),
    "textGenerationConfig": mapping({
        "maxTokenCount": integer(1),
        "temperature": number(0, 1),
        "topP": number(high=1, above=0),
        "stopSequences": array(string(shortest=1)),
    }),
}  # fmt: skip
DEFAULT_TOKENS = 512
DEFAULT_TEMPERATURE = 0.7
DEFAULT_TOP_P = 0.9
COMPLETION_REASONS: Mapping[FinishReason, str] = {
    # What the service sends. The guide's own list has FINISHED, which no client knows.
    "stop": "FINISH",
    "tool_calls": "FINISH",
    "malformed_tool_call": "FINISH",
    "stop_sequence": "STOP_CRITERIA_MET",
    "length": "LENGTH",
    "context": "LENGTH",
    "content_filter": "CONTENT_FILTERED",
}
_SPEAKER = re.compile(r"^(User|Bot):", re.MULTILINE)
_ROLES: Mapping[str, Literal["user", "assistant"]] = {"User": "user", "Bot": "assistant"}


async def read(ctx: Context, model: Model, body: bytes) -> Asked:
    given = opened(body, MEMBERS)
    check_generates(model)
    config = given.get("textGenerationConfig", {})
    sampling = Sampling(
        max_tokens=most_tokens(config, "maxTokenCount", DEFAULT_TOKENS, model, "#/textGenerationConfig"),
        temperature=config.get("temperature", DEFAULT_TEMPERATURE),
        top_p=config.get("topP", DEFAULT_TOP_P),
        stop=tuple(config.get("stopSequences", ())),
    )
    return Asked(ChatRequest(turns_of(given["inputText"]), sampling=sampling), given)


def turns_of(text: str) -> tuple[Message, ...]:
    """`User: ...` and `Bot: ...` by turns, the last of them a Bot's, are a conversation; anything else is one turn."""
    before, *spoken = _SPEAKER.split(text)
    roles, texts = [_ROLES[name] for name in spoken[::2]], [said.strip() for said in spoken[1::2]]
    wanted = ["user", "assistant"] * (len(roles) // 2)
    if before.strip() or not roles or roles != wanted or not all(texts[:-1]):
        return (_turn("user", text),)
    turns = tuple(_turn(role, said) for role, said in zip(roles, texts, strict=True))
    return turns if texts[-1] else turns[:-1]


def _turn(role: Literal["user", "assistant"], text: str) -> Message:
    return Message(role, (Text(text),))


def write(answering: Answering, answer: Answer) -> dict[str, Any]:
    used = answer.finish.usage
    result = {
        "tokenCount": used.output_tokens,
        "outputText": text_of(answer),
        "completionReason": COMPLETION_REASONS[answer.finish.reason],
    }
    return {"inputTextTokenCount": used.input_tokens, "results": [result]}


async def chunks(answering: Answering, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[dict[str, Any], None]:
    """The prompt's tokens are in the first chunk, the answer's and the reason in the last."""
    prompt_tokens = await answering.prompt_tokens() or None
    async for piece in pieces:
        if isinstance(piece, Finish):
            yield _part("", prompt_tokens, piece.usage.output_tokens, COMPLETION_REASONS[piece.reason])
        elif text := said(piece):
            yield _part(text, prompt_tokens, None, None)
            prompt_tokens = None


def _part(text: str, prompt_tokens: int | None, output_tokens: int | None, reason: str | None) -> dict[str, Any]:
    return {
        "index": 0,
        "inputTextTokenCount": prompt_tokens,
        "totalOutputTextTokenCount": output_tokens,
        "outputText": text,
        "completionReason": reason,
    }
