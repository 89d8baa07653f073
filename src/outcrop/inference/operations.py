"""Bedrock Runtime's inference operations."""

from __future__ import annotations

from outcrop.context import Context
from outcrop.inference import converse as conversing
from outcrop.inference import refusals
from outcrop.inference.answer import collect, tool_use_id
from outcrop.inference.blocks import Blocks
from outcrop.inference.converse import Ending
from outcrop.inference.generation import started, whole
from outcrop.inference.reasoning import Signer
from outcrop.inference.stream import events
from outcrop.models.model import Model
from outcrop.shapes.bedrock_runtime import (
    ConverseRequest,
    ConverseResponse,
    ConverseStreamRequest,
    ConverseStreamResponse,
)
from outcrop.wire.operations import Operations

runtime = Operations("bedrock-runtime")


@runtime
async def converse(ctx: Context, request: ConverseRequest) -> ConverseResponse:
    ending = Ending.of(request)
    refusals.check_converse(request)
    model = _model(ctx, request["modelId"])
    chat = await conversing.chat_request(ctx, model, request)
    deltas = await whole(ctx.engines.get(model.id), chat, model.id)
    return conversing.response(collect(deltas, Blocks(tool_use_id)), ending, Signer(ctx.parts.vault))


@runtime
async def converse_stream(ctx: Context, request: ConverseStreamRequest) -> ConverseStreamResponse:
    ending = Ending.of(request)
    refusals.check_converse(request)
    model = _model(ctx, request["modelId"])
    chat = await conversing.chat_request(ctx, model, request)
    deltas = await started(ctx.engines.get(model.id), chat, model.id)
    return {"stream": events(deltas, Blocks(tool_use_id), ending.stop, ending.metadata, Signer(ctx.parts.vault).sign)}


def _model(ctx: Context, identifier: str) -> Model:
    return ctx.catalogue.resolve(identifier, account=ctx.account, region=ctx.region)
