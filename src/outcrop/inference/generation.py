"""Running an engine for one answer: its first delta is awaited before anything is answered, and it is always closed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from outcrop.engines.engine import ChatRequest, Delta, Engine, EngineError, EngineFailed, Finish
from outcrop.inference.failures import before_the_answer, within_the_stream


async def whole(engine: Engine, request: ChatRequest, model_id: str) -> list[Delta]:
    """All deltas, `Finish` last. Cancelling the task cancels the generation."""
    try:
        async with aclosing(_closable(engine.chat(request))) as deltas:
            answer = [delta async for delta in deltas]
        _check_end(answer[-1] if answer else None)
    except EngineError as problem:
        raise before_the_answer(problem, model_id) from problem
    return answer


async def started(
    engine: Engine, request: ChatRequest, model_id: str, *, timeouts: bool = False
) -> AsyncGenerator[Delta, None]:
    """All deltas, the first of them already there, so that early errors are ordinary HTTP errors.

    Closing the returned iterator cancels the generation.
    """
    deltas = _closable(engine.chat(request))
    try:
        first = await anext(deltas, None)
        if first is None:
            _check_end(None)
    except EngineError as problem:
        await deltas.aclose()
        raise before_the_answer(problem, model_id) from problem
    except BaseException:
        await deltas.aclose()
        raise
    return _resumed(cast(Delta, first), deltas, model_id, timeouts)


async def _resumed(
    first: Delta, rest: AsyncGenerator[Delta, None], model_id: str, timeouts: bool
) -> AsyncGenerator[Delta, None]:
    last = first
    try:
        yield first
        async for last in rest:
            yield last
        _check_end(last)
    except EngineError as problem:
        raise within_the_stream(problem, model_id, timeouts=timeouts) from problem
    finally:
        await rest.aclose()


def _check_end(last: Delta | None) -> None:
    if not isinstance(last, Finish):
        raise EngineFailed("The model's answer broke off.")


def _closable(deltas: AsyncIterator[Delta]) -> AsyncGenerator[Delta, None]:
    """Engines promise an iterator that can be closed (`Engine.chat`), which its type does not say."""
    return cast("AsyncGenerator[Delta, None]", deltas)
