"""Several engines for one model: one is chosen by weight, and another answers where it fails before its answer begins."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import TypeVar, cast

from outcrop.engines import attempts
from outcrop.engines.candidates import Candidate, Candidates
from outcrop.engines.engine import (
    Capabilities,
    ChatRequest,
    CompletionRequest,
    Delta,
    Engine,
    EngineBusy,
    EngineError,
    EngineFailed,
    Native,
    NativeAnswer,
    Reasoning,
    ReasoningSignature,
    Unsupported,
    Usage,
    is_callers_fault,
    native,
)

T = TypeVar("T")

logger = logging.getLogger("outcrop.engines")


class Choice:
    """`pick` is a random number from 0 up to 1, `clock` seconds that only grow; tests have their own."""

    def __init__(
        self,
        model_id: str,
        candidates: Sequence[Candidate],
        *,
        pick: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model_id = model_id
        self._candidates = Candidates(candidates, pick=pick, clock=clock)

    @property
    def able(self) -> Capabilities:
        """What all of them can do that can be served. EngineError if none can."""
        known, problem = [], EngineError("no engine")
        for candidate in self._candidates:
            try:
                known.append(candidate.able())
            except EngineError as found:
                problem = found
        if not known:
            raise problem
        return _common(known)

    async def capabilities(self) -> Capabilities:
        return self.able

    async def start(self) -> None:
        """Those that requests go to when all is well, else the first fallback that starts. EngineError if none does."""
        first = [candidate for candidate in self._candidates if not candidate.fallback]
        outcomes = await asyncio.gather(*(self._start(candidate) for candidate in first))
        problems = [outcome for outcome in outcomes if outcome is not None]
        if len(problems) < len(first):
            return
        for fallback in (candidate for candidate in self._candidates if candidate.fallback):
            problem = await self._start(fallback)
            if problem is None:
                return
            problems.append(problem)
        raise problems[0]

    async def _start(self, candidate: Candidate) -> EngineError | None:
        try:
            await candidate.open().start()
        except EngineError as problem:
            return problem
        return None

    def ready(self) -> bool:
        return any(engine.ready() for engine in self._served())

    async def close(self) -> None:
        for engine in self._served():
            await engine.close()

    def _served(self) -> Iterator[Engine]:
        for candidate in self._candidates:
            try:
                yield candidate.open()
            except EngineError:
                continue

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Delta, None]:
        def asked(candidate: Candidate, engine: Engine) -> AsyncIterator[Delta]:
            return engine.chat(_signed_for(request, candidate.name))

        thinker = _thinker(request)
        async with aclosing(self._streamed(asked, first=thinker)) as answer:
            async for candidate, delta in answer:
                # The signature is of use to the engine that made it, and only there.
                signed = isinstance(delta, ReasoningSignature)
                yield ReasoningSignature(f"{candidate.name}:{delta.signature}") if signed else delta  # type: ignore[union-attr]  # narrowed by `signed`

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Delta, None]:
        # Capabilities do not say who can complete raw text.
        tried = self._streamed(lambda _, engine: engine.complete(request), may_differ=True)
        async with aclosing(tried) as answer:
            async for _, delta in answer:
                yield delta

    async def count_tokens(self, request: ChatRequest | CompletionRequest) -> int:
        # Counts are asked for beside an answer: they are not told as attempts of it.
        return await self._first(lambda engine: engine.count_tokens(request), told=False)

    async def embed(self, texts: Sequence[str]) -> tuple[list[list[float]], Usage]:
        return await self._first(lambda engine: engine.embed(texts))

    async def rerank(self, query: str, documents: Sequence[str]) -> tuple[list[float], Usage]:
        return await self._first(lambda engine: engine.rerank(query, documents))

    @property
    def native(self) -> Native | None:
        """Native bodies go where all engines take them: each must be able to answer for another."""
        served = list(self._served())
        natives = [way for engine in served if (way := native(engine)) is not None]
        if not natives or len(natives) < len(served):
            return None
        return _Natives(self, tuple(model for way in natives for model in way.models))

    async def _first(self, call: Callable[[Engine], Awaitable[T]], *, told: bool = True) -> T:
        problems: list[EngineError] = []
        for candidate in self._candidates.order():
            try:
                answer = await call(candidate.open())
            except EngineError as problem:
                self._go_on(candidate, problem, problems, told=told)
                continue
            self._answered(candidate, told=told)
            return answer
        raise _of_all(problems)

    async def _streamed(
        self,
        call: Callable[[Candidate, Engine], AsyncIterator[T]],
        *,
        first: str | None = None,
        may_differ: bool = False,
    ) -> AsyncGenerator[tuple[Candidate, T], None]:
        problems: list[EngineError] = []
        for candidate in self._candidates.order(first):
            begun = False
            try:
                async with aclosing(cast("AsyncGenerator[T, None]", call(candidate, candidate.open()))) as answer:
                    async for piece in answer:
                        if not begun:
                            begun = True
                            self._answered(candidate)
                        yield candidate, piece
                if not begun:
                    raise EngineFailed("The model's answer broke off.")
            except EngineError as problem:
                if begun:
                    self._candidates.distrust(candidate, problem)
                    raise
                self._go_on(candidate, problem, problems, may_differ=may_differ)
                continue
            return
        raise _of_all(problems)

    def _answered(self, candidate: Candidate, *, told: bool = True) -> None:
        self._candidates.trust(candidate)
        if told:
            attempts.note(candidate.name, attempts.ANSWERED)

    def _go_on(
        self,
        candidate: Candidate,
        problem: EngineError,
        problems: list[EngineError],
        *,
        told: bool = True,
        may_differ: bool = False,
    ) -> None:
        """Remembers a failure that another engine may make good; raises one that is the caller's own fault.

        `may_differ`: what one engine cannot do another may.
        """
        if is_callers_fault(problem) and not (may_differ and isinstance(problem, Unsupported)):
            raise problem
        problems.append(problem)
        self._candidates.distrust(candidate, problem)
        if told:
            attempts.note(candidate.name, attempts.why(problem))
        said = (getattr(problem, "detail", "") or str(problem)).partition("\n")[0]
        logger.warning(
            "%s: engine %s did not answer (%s): %s", self._model_id, candidate.name, attempts.why(problem), said
        )


class _Natives:
    """Native bodies by the same choice."""

    def __init__(self, choice: Choice, models: tuple[str, ...]) -> None:
        self._choice = choice
        self.models = models

    async def invoke(
        self,
        body: bytes,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        headers: Mapping[str, str] = {},
    ) -> NativeAnswer:
        def call(engine: Engine) -> Awaitable[NativeAnswer]:
            return _native(engine).invoke(body, content_type=content_type, accept=accept, headers=headers)

        return await self._choice._first(call)

    async def invoke_streamed(
        self,
        body: bytes,
        *,
        content_type: str = "application/json",
        accept: str = "application/json",
        headers: Mapping[str, str] = {},
    ) -> AsyncGenerator[bytes, None]:
        def call(_: Candidate, engine: Engine) -> AsyncIterator[bytes]:
            return _native(engine).invoke_streamed(body, content_type=content_type, accept=accept, headers=headers)

        async with aclosing(self._choice._streamed(call)) as answer:
            async for _, chunk in answer:
                yield chunk


def _native(engine: Engine) -> Native:
    found = native(engine)
    if found is None:
        raise Unsupported("native bodies")
    return found


def _common(known: Sequence[Capabilities]) -> Capabilities:
    """The least of the numbers, and of the abilities those that all have."""
    names = [name for name in Capabilities.__dataclass_fields__ if name not in ("context_tokens", "parameters")]
    shared = {name: all(getattr(able, name) for able in known) for name in names}
    sizes = [able.parameters for able in known if able.parameters is not None]
    least = min(sizes) if len(sizes) == len(known) else None
    return Capabilities(min(able.context_tokens for able in known), parameters=least, **shared)


def _of_all(problems: Sequence[EngineError]) -> EngineError:
    """What the caller is told where nobody answered: to come again, if that may help; else what failed first."""
    busy = [problem for problem in problems if isinstance(problem, EngineBusy)]
    failed = [problem for problem in problems if not isinstance(problem, Unsupported)]
    return min(busy, key=lambda problem: problem.retry_after) if busy else (failed or problems)[0]


def _thinker(request: ChatRequest) -> str | None:
    """The engine whose reasoning comes last in the conversation."""
    signatures = [part.signature for turn in request.messages for part in turn.parts if isinstance(part, Reasoning)]
    return signatures[-1].partition(":")[0] if signatures and signatures[-1] else None


def _signed_for(request: ChatRequest, engine: str) -> ChatRequest:
    """The request with the signatures that this engine made, and without the others."""

    def shown(part: Reasoning) -> Reasoning:
        maker, _, signature = (part.signature or "").partition(":")
        return replace(part, signature=signature if maker == engine and signature else None)

    if not any(isinstance(part, Reasoning) for turn in request.messages for part in turn.parts):
        return request
    turns = (
        replace(turn, parts=tuple(shown(part) if isinstance(part, Reasoning) else part for part in turn.parts))
        for turn in request.messages
    )
    return replace(request, messages=tuple(turns))
