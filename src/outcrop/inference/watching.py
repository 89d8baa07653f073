"""Around a generation: quotas before it, the observer beside it, and telling which of several engines answered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from outcrop.context import Context
from outcrop.engines import attempts
from outcrop.engines.admission import ask_under
from outcrop.engines.engine import ChatRequest, CompletionRequest, EngineError, Finish, Reasoning, Text, Usage
from outcrop.errors import AwsError
from outcrop.models.model import Model
from outcrop.quotas.quotas import Quotas, Reservation
from outcrop.telemetry.observer import Asked, Generation, together

GONE = "ClientDisconnected"


async def begun(ctx: Context, model: Model, request: ChatRequest | CompletionRequest | None) -> Generation | None:
    """None where nobody watches or counts. `request` is None for embeddings and for bodies that are not read here.

    ThrottlingException where a quota is used up; quotas are of on-demand requests. From here on, in this task, engines are
    asked under the model's reservation.
    """
    ask_under(model.reservation)
    observer, quotas = ctx.parts.observer, ctx.parts.quotas
    if observer is None and quotas is None:
        return None
    watching: list[Generation] = []
    if observer is not None:
        asked = Asked(ctx.account, ctx.region, model.id, request, ctx.request_id, ctx.traceparent)
        watching.append(observer.generation(asked))
    if quotas is not None and model.reservation is None and quotas.hold(ctx.account, model.id):
        with failing(together(watching)):
            watching.append(await _reserved(ctx, model, quotas, request))
    return together(watching)


async def _reserved(
    ctx: Context, model: Model, quotas: Quotas, request: ChatRequest | CompletionRequest | None
) -> _Counted:
    if request is None:
        return _Counted(await quotas.reserve(ctx.account, model.id, 0, 0), 0)
    tokens = await _input_tokens(ctx, model, request)
    most = request.sampling.max_tokens or model.max_output_tokens
    return _Counted(await quotas.reserve(ctx.account, model.id, tokens, most), tokens)


async def _input_tokens(ctx: Context, model: Model, request: ChatRequest | CompletionRequest) -> int:
    """As the model counts them; a fourth of the letters where it does not."""
    if model.capabilities.count_tokens:
        with suppress(EngineError):
            return await ctx.engine(model.id).count_tokens(request)
    if isinstance(request, CompletionRequest):
        return len(request.prompt) // 4
    texts = (part.text for turn in request.messages for part in turn.parts if isinstance(part, Text | Reasoning))
    return sum(map(len, texts)) // 4


class _Counted:
    """A reservation that is settled when the generation ends."""

    def __init__(self, reservation: Reservation, input_tokens: int) -> None:
        self._reservation = reservation
        self._input_tokens = input_tokens

    def first(self) -> None:
        """What is taken, is."""

    def finished(self, usage: Usage, finish: Finish | None) -> None:
        self._reservation.settle(usage)

    def failed(self, code: str, produced: int = 0) -> None:
        """What was generated before it broke off counts, a delta as a token."""
        if produced:
            self._reservation.settle(Usage(self._input_tokens, produced))
        else:
            self._reservation.forget()


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
