"""Bedrock Runtime's inference operations."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from time import perf_counter
from typing import Any

import orjson

from outcrop.context import Context
from outcrop.engines.engine import ChatRequest, CompletionRequest, EngineError, Unsupported
from outcrop.errors import ValidationException
from outcrop.inference import converse as conversing
from outcrop.inference import passed_through, refusals, routed
from outcrop.inference.answer import collect, tool_use_id
from outcrop.inference.blocks import Blocks
from outcrop.inference.converse import Ending, milliseconds_since
from outcrop.inference.failures import before_the_answer
from outcrop.inference.families import family_of, flow
from outcrop.inference.families.family import computes
from outcrop.inference.families.forms import explained
from outcrop.inference.generation import started, whole
from outcrop.inference.reasoning import Signer
from outcrop.inference.stream import events
from outcrop.inference.usage import Counts
from outcrop.inference.wording import CONVERSE
from outcrop.models.model import Model
from outcrop.shapes.bedrock_runtime import (
    ConverseRequest,
    ConverseResponse,
    ConverseStreamRequest,
    ConverseStreamResponse,
    CountTokensRequest,
    CountTokensResponse,
    InvokeModelRequest,
    InvokeModelResponse,
    InvokeModelWithResponseStreamRequest,
    InvokeModelWithResponseStreamResponse,
    ResponseStream,
)
from outcrop.wire.operations import Operations

runtime = Operations("bedrock-runtime")


@runtime
async def converse(ctx: Context, request: ConverseRequest) -> ConverseResponse:
    ending = Ending.of(request)
    refusals.check_converse(request)
    chosen = routed.converse(ctx, request, streaming=False)
    model, ending = chosen.model, ending.routed_to(chosen.invoked)
    refusals.check_latency(request, model)
    chat = await conversing.chat_request(ctx, model, request)
    deltas = await whole(ctx, model, chat, CONVERSE)
    return conversing.response(collect(deltas, Blocks(tool_use_id)), ending, Signer(ctx.parts.vault))


@runtime
async def converse_stream(ctx: Context, request: ConverseStreamRequest) -> ConverseStreamResponse:
    ending = Ending.of(request)
    refusals.check_converse(request)
    chosen = routed.converse(ctx, request, streaming=True)
    model, ending = chosen.model, ending.routed_to(chosen.invoked)
    refusals.check_latency(request, model)
    _check_streaming(model)
    chat = await conversing.chat_request(ctx, model, request)
    deltas = await started(ctx, model, chat, CONVERSE)
    sign = Signer(ctx.parts.vault).sign
    return {"stream": events(deltas, Blocks(tool_use_id), ending.stop, ending.metadata, sign)}


@runtime
async def invoke_model(ctx: Context, request: InvokeModelRequest) -> InvokeModelResponse:
    begun = perf_counter()
    refusals.check_invoke(request)
    given = request.get("body", b"")
    model = routed.invoke(ctx, request["modelId"], given, streaming=False).model
    refusals.check_latency(request, model)
    if (way := passed_through.native_of(ctx, model)) is not None:
        answer = await passed_through.invoke(ctx, model, way, given, *_kinds(request))
        passed: InvokeModelResponse = {"body": answer.body, "contentType": answer.content_type}
        passed.update(_used(request))  # type: ignore[typeddict-item]  # members of both response shapes
        return passed
    with explained(model.family):
        body, count = await flow.answered(family_of(model), ctx, model, given)
    _tell_in_headers(ctx, count, milliseconds_since(begun))
    response: InvokeModelResponse = {"body": orjson.dumps(body), "contentType": "application/json"}
    response.update(_used(request))  # type: ignore[typeddict-item]  # members of both response shapes
    return response


@runtime
async def invoke_model_with_response_stream(
    ctx: Context, request: InvokeModelWithResponseStreamRequest
) -> InvokeModelWithResponseStreamResponse:
    begun = perf_counter()
    refusals.check_invoke(request)
    given = request.get("body", b"")
    model = routed.invoke(ctx, request["modelId"], given, streaming=True).model
    refusals.check_latency(request, model)
    _check_streaming(model)
    if (way := passed_through.native_of(ctx, model)) is not None:
        chunks = await passed_through.stream(ctx, model, way, given, *_kinds(request))
    else:
        with explained(model.family):
            chunks = _dumped(await flow.streamed(family_of(model), ctx, model, given, begun))
    response: InvokeModelWithResponseStreamResponse = {"body": _parts(chunks), "contentType": "application/json"}
    response.update(_used(request))  # type: ignore[typeddict-item]  # members of both response shapes
    return response


@runtime
async def count_tokens(ctx: Context, request: CountTokensRequest) -> CountTokensResponse:
    model = _model(ctx, request["modelId"])
    if not model.capabilities.count_tokens:
        raise _cannot_count()
    given = request["input"]
    chat: ChatRequest | CompletionRequest
    if "converse" in given:
        chat = await conversing.counted_request(ctx, model, given["converse"])
    else:
        family = family_of(model)
        if computes(family):
            raise _cannot_count()
        with explained(model.family):
            chat = (await flow.read(family, ctx, model, given["invokeModel"]["body"])).request
    try:
        return {"inputTokens": await ctx.engine(model.id).count_tokens(chat)}
    except Unsupported:
        raise _cannot_count() from None
    except EngineError as problem:
        raise before_the_answer(problem, model.id, CONVERSE) from problem


def _model(ctx: Context, identifier: str) -> Model:
    return ctx.catalogue.resolve(identifier, account=ctx.account, region=ctx.region)


def _check_streaming(model: Model) -> None:
    if not model.capabilities.streaming:
        raise ValidationException("The model is unsupported for streaming.")


def _cannot_count() -> ValidationException:
    return ValidationException("The provided model doesn't support counting tokens.")


def _tell_in_headers(ctx: Context, count: Counts, latency: int) -> None:
    """Not in the service model, and always sent: SDK wrappers read their token counts from here."""
    told = {
        "invocation-latency": latency,
        "input-token-count": count.fresh,
        "output-token-count": count.output,
        "cache-read-input-token-count": count.cached,
        "cache-write-input-token-count": count.written,
    }
    ctx.response_headers.update((f"x-amzn-bedrock-{name}", str(value)) for name, value in told.items())


def _kinds(request: InvokeModelRequest | InvokeModelWithResponseStreamRequest) -> tuple[str, str]:
    """The media types of the body and of the answer that is wanted."""
    return request.get("contentType", "application/json"), request.get("accept", "application/json")


def _used(request: InvokeModelRequest | InvokeModelWithResponseStreamRequest) -> dict[str, str]:
    """Tier and latency are echoed where they were asked for."""
    used = {}
    if "performanceConfigLatency" in request:
        used["performanceConfigLatency"] = request["performanceConfigLatency"]
    if "serviceTier" in request:
        used["serviceTier"] = request["serviceTier"]
    return used


async def _dumped(chunks: AsyncGenerator[dict[str, Any], None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(chunks):
        async for chunk in chunks:
            yield orjson.dumps(chunk)


async def _parts(chunks: AsyncGenerator[bytes, None]) -> AsyncIterator[ResponseStream]:
    async with aclosing(chunks):
        async for chunk in chunks:
            yield {"chunk": {"bytes": chunk}}
