"""Mistral's chat completion: OpenAI's, but for a few words.

A choice has its end under Mistral's name (`stop_reason`) and under OpenAI's, and in a stream its text as a `message`
and as a `delta`: the older models' clients read the first, those of Pixtral and later models the second.
Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-mistral-chat-completion.html
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any

from outcrop.context import Context
from outcrop.inference.answer import Answer
from outcrop.inference.blocks import Piece
from outcrop.inference.families import openai_request, openai_response
from outcrop.inference.families.body import Member, array, boolean, integer, mapping, number, opened, string
from outcrop.inference.families.family import Answering, Asked
from outcrop.inference.families.prompts import check_generates
from outcrop.models.model import Model

MEMBERS = {
    "messages": array(required=True),
    "max_tokens": integer(1),
    "temperature": number(0, 1.5),
    "top_p": number(0, 1),
    "stop": Member(("String", "JSONArray")),
    "random_seed": integer(0),
    "tools": array(),
    "tool_choice": Member(("String", "JSONObject")),
    "parallel_tool_calls": boolean(),
    "response_format": mapping(),
    "frequency_penalty": number(-2, 2),
    "presence_penalty": number(-2, 2),
    "model": string(),
    "stream": boolean(),
    "stream_options": mapping(),
}
DEFAULTS = {"temperature": 0.7, "top_p": 1}


async def read(ctx: Context, model: Model, body: bytes) -> Asked:
    given = {**DEFAULTS, **opened(body, MEMBERS)}
    check_generates(model)
    if given.get("tool_choice") == "any":
        given["tool_choice"] = "required"
    if "random_seed" in given:
        given["seed"] = given["random_seed"]
    return await openai_request.asked(ctx, model, given)


def write(answering: Answering, answer: Answer) -> dict[str, Any]:
    completion = openai_response.completion(answering, answer)
    return {**completion, "choices": [_said(choice) for choice in completion["choices"]]}


def _said(choice: Mapping[str, Any]) -> dict[str, Any]:
    message = {**choice["message"], "content": choice["message"]["content"] or ""}
    return {**choice, "message": message, "stop_reason": choice["finish_reason"]}


async def chunks(answering: Answering, pieces: AsyncGenerator[Piece, None]) -> AsyncGenerator[dict[str, Any], None]:
    async for chunk in openai_response.chunks(answering, pieces):
        yield {**chunk, "choices": [_saying(choice) for choice in chunk["choices"]]}


def _saying(choice: Mapping[str, Any]) -> dict[str, Any]:
    return {**choice, "message": choice["delta"], "stop_reason": choice["finish_reason"]}
