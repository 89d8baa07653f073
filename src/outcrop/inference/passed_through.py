"""Native bodies for an engine that takes them as they are: a real Bedrock behind a model of ours."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

import orjson

from outcrop.context import Context
from outcrop.engines.engine import EngineError, Native, NativeAnswer, Usage, native
from outcrop.errors import AwsError, ModelErrorException
from outcrop.inference.failures import before_the_answer, within_the_stream
from outcrop.inference.watching import GONE, begun, failing, tell
from outcrop.inference.wording import NATIVE
from outcrop.models import families
from outcrop.models.model import Model
from outcrop.telemetry.observer import Generation

# What describes the answer; the rest of an upstream's headers is its own affair.
_TOLD = "x-amzn-bedrock-"


def native_of(ctx: Context, model: Model) -> Native | None:
    """The engine's way for native bodies; None if it has none, or other bodies than the caller's: then they are read here."""
    try:
        way = native(ctx.engine(model.id))
    except EngineError as problem:
        raise before_the_answer(problem, model.id, NATIVE) from problem
    return way if way is not None and all(_takes(name, model) for name in way.models) else None


def _takes(name: str, model: Model) -> bool:
    """Whether the upstream's model has the caller's family; a name that says nothing is taken at the settings' word."""
    family = families.known(name.rpartition("/")[2])
    return family is None or family == model.family


async def invoke(ctx: Context, model: Model, way: Native, body: bytes, content_type: str, accept: str) -> NativeAnswer:
    """The answer byte for byte, its describing headers passed on."""
    generation = await begun(ctx, model, None)
    with failing(generation):
        try:
            answer = await way.invoke(body, content_type=content_type, accept=accept)
        except EngineError as problem:
            raise before_the_answer(problem, model.id, NATIVE) from problem
        finally:
            tell(ctx, model)
    ctx.response_headers.update(_passed(answer))
    if generation is not None:
        generation.finished(_usage(answer), None)
    return answer


def _passed(answer: NativeAnswer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith(_TOLD)}


def _usage(answer: NativeAnswer) -> Usage:
    fresh, output, cached = (
        int(answer.headers.get(f"{_TOLD}{name}-token-count", "0")) for name in ("input", "output", "cache-read-input")
    )
    return Usage(fresh + cached, output, cached)


async def stream(
    ctx: Context, model: Model, way: Native, body: bytes, content_type: str, accept: str
) -> AsyncGenerator[bytes, None]:
    """The inner bytes of the chunks, the first of them sure to come."""
    generation = await begun(ctx, model, None)
    with failing(generation):
        chunks = cast(
            "AsyncGenerator[bytes, None]", way.invoke_streamed(body, content_type=content_type, accept=accept)
        )
        try:
            first = await anext(chunks, None)
        except EngineError as problem:
            raise before_the_answer(problem, model.id, NATIVE) from problem
        finally:
            tell(ctx, model)
        if first is None:
            raise ModelErrorException("The model's answer broke off.", members={"resourceName": model.id})
    if generation is not None:
        generation.first()
    return _rest(first, chunks, model, generation)


async def _rest(
    first: bytes, chunks: AsyncIterator[bytes], model: Model, generation: Generation | None
) -> AsyncGenerator[bytes, None]:
    code: str | None = GONE
    last = first
    try:
        async with aclosing(cast("AsyncGenerator[bytes, None]", chunks)):
            yield first
            async for chunk in chunks:
                last = chunk
                yield chunk
        code = None
    except EngineError as problem:
        error: AwsError = within_the_stream(problem, model.id, NATIVE)
        code = error.code
        raise error from problem
    finally:
        if generation is not None and code is not None:
            generation.failed(code)
        elif generation is not None:
            generation.finished(_measured(last), None)


def _measured(chunk: bytes) -> Usage:
    """What the last chunk says that the answer cost."""
    try:
        metrics = orjson.loads(chunk).get("amazon-bedrock-invocationMetrics", {})
    except (orjson.JSONDecodeError, AttributeError):
        metrics = {}
    cached = metrics.get("cacheReadInputTokenCount", 0)
    return Usage(metrics.get("inputTokenCount", 0) + cached, metrics.get("outputTokenCount", 0), cached)
