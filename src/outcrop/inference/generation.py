"""Running an engine for one answer: its first delta is awaited before anything is answered, and it is always closed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from outcrop.context import Context
from outcrop.engines.engine import (
    ChatRequest,
    CompletionRequest,
    Delta,
    Engine,
    EngineError,
    EngineFailed,
    Finish,
    ToolCallDelta,
    ToolCallStart,
)
from outcrop.errors import AwsError
from outcrop.inference.failures import before_the_answer, within_the_stream
from outcrop.inference.wording import Wording
from outcrop.models.model import Model


async def whole(ctx: Context, model: Model, request: ChatRequest | CompletionRequest, words: Wording) -> list[Delta]:
    """All deltas, `Finish` last. Cancelling the task cancels the generation."""
    try:
        async with aclosing(_deltas(ctx.engine(model.id), request)) as deltas:
            order = _Order()
            answer = [order.checked(delta) async for delta in deltas]
        _check_end(answer[-1] if answer else None)
    except EngineError as problem:
        raise before_the_answer(problem, model.id, words) from problem
    return answer


async def started(ctx: Context, model: Model, request: ChatRequest | CompletionRequest, words: Wording) -> Running:
    """An answer whose first delta is there, so that early errors are ordinary HTTP errors."""
    order = _Order()
    try:
        deltas = _deltas(ctx.engine(model.id), request)
    except EngineError as problem:
        raise before_the_answer(problem, model.id, words) from problem
    try:
        first = await anext(deltas, None)
        if first is None:
            raise EngineFailed("The model's answer broke off.")
        order.checked(first)
    except EngineError as problem:
        await deltas.aclose()
        raise before_the_answer(problem, model.id, words) from problem
    except BaseException:
        await deltas.aclose()
        raise
    return Running(first, deltas, order, model.id, words)


class Running:
    """The deltas of an answer under way. Closing it cancels the generation.

    A class, because closing a generator that nobody has iterated yet runs none of its code.
    """

    def __init__(
        self, first: Delta, rest: AsyncGenerator[Delta, None], order: _Order, model_id: str, words: Wording
    ) -> None:
        self._next: Delta | None = first
        self._last = first
        self._rest = rest
        self._order = order
        self._model_id = model_id
        self._words = words

    def __aiter__(self) -> Running:
        return self

    async def __anext__(self) -> Delta:
        if (first := self._next) is not None:
            self._next = None
            return first
        try:
            self._last = self._order.checked(await anext(self._rest))
        except StopAsyncIteration:
            if not isinstance(self._last, Finish):
                raise self._failure(EngineFailed("The model's answer broke off.")) from None
            raise
        except EngineError as problem:
            raise self._failure(problem) from problem
        return self._last

    async def aclose(self) -> None:
        await self._rest.aclose()

    def _failure(self, problem: EngineError) -> AwsError:
        return within_the_stream(problem, self._model_id, self._words)


class _Order:
    """Holds an engine to its promise: fragments of a call follow its start, with nothing between."""

    def __init__(self) -> None:
        self._call: int | None = None

    def checked(self, delta: Delta) -> Delta:
        """EngineFailed for a fragment of a call that is not open."""
        if isinstance(delta, ToolCallStart):
            self._call = delta.index
        elif not isinstance(delta, ToolCallDelta):
            self._call = None
        elif delta.index != self._call:
            raise EngineFailed(f"The engine sent a piece of tool call {delta.index}, which is not open.")
        return delta


def _check_end(last: Delta | None) -> None:
    if not isinstance(last, Finish):
        raise EngineFailed("The model's answer broke off.")


def _deltas(engine: Engine, request: ChatRequest | CompletionRequest) -> AsyncGenerator[Delta, None]:
    """Engines promise an iterator that can be closed (`Engine.chat`), which its type does not say."""
    deltas: AsyncIterator[Delta] = (
        engine.chat(request) if isinstance(request, ChatRequest) else engine.complete(request)
    )
    return cast("AsyncGenerator[Delta, None]", deltas)
