"""Anthropic Messages: the native body that every chat model here understands, whoever made it.

The body is checked by `anthropic_schema`, read by `anthropic_request` and answered by `anthropic_response`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from time import perf_counter
from typing import Any

import orjson

from outcrop.context import Context
from outcrop.engines.engine import ChatRequest, Engine, EngineError
from outcrop.inference.answer import collect
from outcrop.inference.blocks import Blocks
from outcrop.inference.failures import unwrapped
from outcrop.inference.families import anthropic_request, anthropic_response
from outcrop.inference.families.anthropic_request import Asked
from outcrop.inference.families.anthropic_response import Clock
from outcrop.inference.generation import started, whole
from outcrop.inference.reasoning import Signer
from outcrop.inference.usage import Counts, counts
from outcrop.inference.wording import ANTHROPIC
from outcrop.models.model import Model


async def invoke(ctx: Context, model: Model, body: bytes) -> tuple[bytes, Counts]:
    """The response body, and what it cost."""
    asked = await read(ctx, model, body)
    with unwrapped():
        deltas = await whole(ctx.engines.get(model.id), asked.chat, model.id, ANTHROPIC)
    answer = collect(deltas, _blocks(asked))
    message = anthropic_response.message(answer, model.id, Signer(ctx.parts.vault))
    return orjson.dumps(message), counts(answer.finish.usage)


async def invoke_streamed(ctx: Context, model: Model, body: bytes, taken_up: float) -> AsyncGenerator[Any, None]:
    """The streaming events, the first of them sure to come. `taken_up` is when the request was, by `perf_counter`."""
    asked = await read(ctx, model, body)
    engine = ctx.engines.get(model.id)
    prompt_tokens = asyncio.create_task(_counted(engine, asked.chat))
    try:
        with unwrapped():
            deltas = await started(engine, asked.chat, model.id, ANTHROPIC)
    except BaseException:
        prompt_tokens.cancel()
        raise
    clock = Clock(taken_up, perf_counter())
    return anthropic_response.events(deltas, _blocks(asked), model.id, prompt_tokens, Signer(ctx.parts.vault), clock)


async def read(ctx: Context, model: Model, body: bytes) -> Asked:
    with unwrapped():
        return await anthropic_request.read(ctx, model, body)


def _blocks(asked: Asked) -> Blocks:
    return Blocks(anthropic_response.tool_use_id, one_tool=asked.one_tool)


async def _counted(engine: Engine, request: ChatRequest) -> int:
    """0 where the engine cannot count ahead; message_delta has the true numbers in any case."""
    try:
        return await engine.count_tokens(request)
    except EngineError:
        return 0
