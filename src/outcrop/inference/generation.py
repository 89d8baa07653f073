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
from outcrop.inference.watching import GONE, begun, failing, tell
from outcrop.inference.wording import Wording
from outcrop.models.model import Model
from outcrop.telemetry.observer import Generation


async def whole(ctx: Context, model: Model, request: ChatRequest | CompletionRequest, words: Wording) -> list[Delta]:
    """All deltas, `Finish` last. Cancelling the task cancels the generation."""
    generation = await begun(ctx, model, request)
    order = _Order()
    answer: list[Delta] = []
    with failing(generation):
        try:
            async with aclosing(_deltas(ctx.engine(model.id), request)) as deltas:
                async for delta in deltas:
                    if generation is not None and not answer:
                        generation.first()
                    answer.append(order.checked(delta))
            finish = _end(answer)
        except EngineError as problem:
            raise before_the_answer(problem, model.id, words) from problem
        finally:
            tell(ctx, model)
    if generation is not None:
        generation.finished(finish.usage, finish)
    return answer


async def started(ctx: Context, model: Model, request: ChatRequest | CompletionRequest, words: Wording) -> Running:
    """An answer whose first delta is there, so that early errors are ordinary HTTP errors."""
    generation = await begun(ctx, model, request)
    order = _Order()
    with failing(generation):
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
        finally:
            tell(ctx, model)
    if generation is not None:
        generation.first()
    return Running(first, deltas, order, model.id, words, generation)


class Running:
    """The deltas of an answer under way. Closing it cancels the generation.

    A class, because closing a generator that nobody has iterated yet runs none of its code.
    """

    def __init__(
        self,
        first: Delta,
        rest: AsyncGenerator[Delta, None],
        order: _Order,
        model_id: str,
        words: Wording,
        generation: Generation | None = None,
    ) -> None:
        self._next: Delta | None = first
        self._last = first
        self._rest = rest
        self._order = order
        self._model_id = model_id
        self._words = words
        self._generation = generation
        self._produced = 0

    def __aiter__(self) -> Running:
        return self

    async def __anext__(self) -> Delta:
        if (first := self._next) is not None:
            self._next = None
            self._watch(first)
            return first
        try:
            self._last = self._order.checked(await anext(self._rest))
        except StopAsyncIteration:
            if not isinstance(self._last, Finish):
                raise self._failure(EngineFailed("The model's answer broke off.")) from None
            raise
        except EngineError as problem:
            raise self._failure(problem) from problem
        self._produced += 1
        self._watch(self._last)
        return self._last

    async def aclose(self) -> None:
        self._failed(GONE)
        await self._rest.aclose()

    def _watch(self, delta: Delta) -> None:
        if self._generation is not None and isinstance(delta, Finish):
            generation, self._generation = self._generation, None
            generation.finished(delta.usage, delta)

    def _failed(self, code: str) -> None:
        generation, self._generation = self._generation, None
        if generation is not None:
            generation.failed(code, 1 + self._produced)

    def _failure(self, problem: EngineError) -> AwsError:
        error = within_the_stream(problem, self._model_id, self._words)
        self._failed(error.code)
        return error


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


def _end(answer: list[Delta]) -> Finish:
    last = answer[-1] if answer else None
    if not isinstance(last, Finish):
        raise EngineFailed("The model's answer broke off.")
    return last


def _deltas(engine: Engine, request: ChatRequest | CompletionRequest) -> AsyncGenerator[Delta, None]:
    """Engines promise an iterator that can be closed (`Engine.chat`), which its type does not say."""
    deltas: AsyncIterator[Delta] = (
        engine.chat(request) if isinstance(request, ChatRequest) else engine.complete(request)
    )
    return cast("AsyncGenerator[Delta, None]", deltas)
