"""From a native body to its answer, whole or in chunks: the way that all families share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from time import perf_counter
from typing import Any

from outcrop.context import Context
from outcrop.engines.engine import EngineError, Finish, Usage
from outcrop.errors import ValidationException
from outcrop.inference.answer import collect
from outcrop.inference.blocks import Blocks, Piece
from outcrop.inference.converse import milliseconds_since
from outcrop.inference.failures import unwrapped
from outcrop.inference.families.family import Answering, Asked, Family, Writing, computes
from outcrop.inference.generation import Running, started, whole
from outcrop.inference.usage import Counts, counts
from outcrop.models.model import Model

METRICS = "amazon-bedrock-invocationMetrics"


async def read(family: Family, ctx: Context, model: Model, body: bytes) -> Asked:
    """ValidationException, in the model's own words, for whatever is wrong with the body."""
    if computes(family):
        raise ValidationException("The model is unsupported for streaming.")
    with unwrapped():
        return await family.read(ctx, model, body)


async def answered(family: Family, ctx: Context, model: Model, body: bytes) -> tuple[dict[str, Any], Counts]:
    """The response body, and what it cost."""
    if computes(family):
        with unwrapped():
            return await family.compute(ctx, model, body)
    asked = await read(family, ctx, model, body)
    _check_stream(asked, streaming=False)
    return await completed(family, ctx, model, asked)


async def completed(family: Writing, ctx: Context, model: Model, asked: Asked) -> tuple[dict[str, Any], Counts]:
    """The same, of a body that was read."""
    with unwrapped():
        deltas = await whole(ctx, model, asked.request, asked.words)
    answer = collect(deltas, _blocks(asked))
    told = family.write(Answering(ctx, model, asked, lambda: _known(answer.finish.usage)), answer)
    return told, counts(answer.finish.usage)


async def streamed(
    family: Family, ctx: Context, model: Model, body: bytes, taken_up: float, *, metrics: bool = True
) -> AsyncGenerator[dict[str, Any], None]:
    """The chunks, the first of them sure to come. `taken_up` is when the request was, by `perf_counter`.

    With `metrics`, the last chunk has Bedrock's metrics of the invocation.
    """
    if computes(family):
        raise ValidationException("The model is unsupported for streaming.")
    asked = await read(family, ctx, model, body)
    _check_stream(asked, streaming=True)
    return await begun(family, ctx, model, asked, taken_up, metrics=metrics)


async def begun(
    family: Writing, ctx: Context, model: Model, asked: Asked, taken_up: float, *, metrics: bool = True
) -> AsyncGenerator[dict[str, Any], None]:
    """The same, of a body that was read."""
    ahead = asyncio.create_task(_counted(ctx, model, asked))
    try:
        with unwrapped():
            running = await started(ctx, model, asked.request, asked.words)
    except BaseException:
        ahead.cancel()
        raise

    async def prompt_tokens() -> int:
        return await ahead

    pieces = _Pieces(running, _blocks(asked))
    chunks = family.chunks(Answering(ctx, model, asked, prompt_tokens), aiter(pieces))
    told = _with_metrics(chunks, pieces, taken_up, perf_counter()) if metrics else chunks
    return _closing(told, pieces, ahead)


async def _closing(
    chunks: AsyncGenerator[dict[str, Any], None], pieces: _Pieces, ahead: asyncio.Task[int]
) -> AsyncGenerator[dict[str, Any], None]:
    """The chunks; whoever closes them ends the generation."""
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk
    finally:
        ahead.cancel()
        await pieces.aclose()


async def _with_metrics(
    chunks: AsyncGenerator[dict[str, Any], None], pieces: _Pieces, taken_up: float, first: float
) -> AsyncGenerator[dict[str, Any], None]:
    """Only what follows the end of the answer is held back by one, to find out which chunk is the last."""
    held: dict[str, Any] | None = None
    async with aclosing(chunks):
        async for chunk in chunks:
            if held is not None:
                yield held
                held = None
            if pieces.finish is None:
                yield chunk
            else:
                held = chunk
    if held is not None and pieces.finish is not None:
        yield {**held, METRICS: _metrics(pieces.finish.usage, taken_up, first)}


class _Pieces:
    """The pieces of an answer under way; remembers how it ended."""

    def __init__(self, running: Running, blocks: Blocks) -> None:
        self._running = running
        self._blocks = blocks
        self.finish: Finish | None = None

    async def __aiter__(self) -> AsyncGenerator[Piece, None]:
        async for delta in self._running:
            for piece in self._blocks.feed(delta):
                if isinstance(piece, Finish):
                    self.finish = piece
                yield piece

    async def aclose(self) -> None:
        await self._running.aclose()


def _metrics(used: Usage, taken_up: float, first: float) -> dict[str, int]:
    count = counts(used)
    return {
        "inputTokenCount": count.fresh,
        "outputTokenCount": count.output,
        "invocationLatency": milliseconds_since(taken_up),
        "firstByteLatency": round((first - taken_up) * 1000),
        "cacheReadInputTokenCount": count.cached,
        "cacheWriteInputTokenCount": count.written,
    }


def _check_stream(asked: Asked, *, streaming: bool) -> None:
    """Some bodies may say `stream` too: then it must be what the operation does."""
    if asked.given.get("stream", streaming) is not streaming:
        raise ValidationException("The value of stream in the body does not match the operation.")


def _blocks(asked: Asked) -> Blocks:
    return Blocks(asked.new_tool_id, one_tool=asked.one_tool)


async def _known(usage: Usage) -> int:
    return usage.input_tokens


async def _counted(ctx: Context, model: Model, asked: Asked) -> int:
    """0 where the engine cannot count ahead; the last chunk has the true numbers in any case."""
    try:
        return await ctx.engine(model.id).count_tokens(asked.request)
    except EngineError:
        return 0
