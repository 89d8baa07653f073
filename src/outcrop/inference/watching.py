"""Telling the observer of a generation, and the caller which of several engines answered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from outcrop.context import Context
from outcrop.engines import attempts
from outcrop.engines.engine import ChatRequest, CompletionRequest
from outcrop.errors import AwsError
from outcrop.models.model import Model
from outcrop.telemetry.observer import Asked, Generation

GONE = "ClientDisconnected"


def begun(ctx: Context, model: Model, request: ChatRequest | CompletionRequest | None) -> Generation | None:
    """None where nobody watches. `request` is None for embeddings."""
    observer = ctx.parts.observer
    if observer is None:
        return None
    return observer.generation(Asked(ctx.account, ctx.region, model.id, request, ctx.request_id, ctx.traceparent))


@contextmanager
def failing(generation: Generation | None) -> Iterator[None]:
    """Whatever is raised within is the end of the generation."""
    try:
        yield
    except BaseException as problem:
        if generation is not None:
            generation.failed(code_of(problem))
        raise


def code_of(problem: BaseException) -> str:
    if isinstance(problem, AwsError):
        return problem.code
    return GONE if isinstance(problem, asyncio.CancelledError | GeneratorExit) else "InternalServerException"


def tell(ctx: Context, model: Model) -> None:
    """Which engines were tried: in the response's headers, and to the observer."""
    tried = attempts.read()
    if not tried:
        return
    ctx.response_headers.update(attempts.headers())
    if ctx.parts.observer is not None:
        for engine, outcome in tried:
            if outcome != attempts.ANSWERED:
                ctx.parts.observer.fallback(model.id, engine)
