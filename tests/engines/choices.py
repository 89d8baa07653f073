"""A choice among engines that say what a test prepared."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any, cast

from outcrop.engines import attempts
from outcrop.engines.candidates import Candidate
from outcrop.engines.choice import Choice
from outcrop.engines.engine import (
    Capabilities,
    ChatRequest,
    Delta,
    Engine,
    EngineError,
    Message,
    Text,
)
from tests.inference.bench import Prepared

HELLO = ChatRequest((Message("user", (Text("Hello"),)),))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def same(engine: Engine | EngineError) -> Engine:
    if isinstance(engine, EngineError):
        raise engine
    return engine


def able(engine: Engine | EngineError) -> Capabilities:
    known: Capabilities = cast(Any, same(engine)).able
    return known


def never(problem: EngineError) -> Prepared:
    return Prepared(deltas=[problem])


def choice(
    engines: Mapping[str, Engine | EngineError],
    *,
    weights: Mapping[str, float] | None = None,
    fallbacks: Sequence[str] = (),
    pick: float | None = None,
    clock: Clock | None = None,
) -> Choice:
    """`pick` None: the first of those that are left, always."""

    candidates = [
        Candidate(name, partial(same, engine), partial(able, engine), (weights or {}).get(name, 1.0), name in fallbacks)
        for name, engine in engines.items()
    ]
    return Choice("m", candidates, pick=lambda: pick or 0.0, clock=clock or Clock())


async def collected(answer: AsyncIterator[Delta]) -> list[Delta]:
    return [delta async for delta in answer]


def ask(chosen: Choice, request: ChatRequest = HELLO) -> tuple[list[Delta], tuple[attempts.Attempt, ...]]:
    """The answer, and what was written down of it."""

    async def run() -> tuple[list[Delta], tuple[attempts.Attempt, ...]]:
        attempts.begin()
        return await collected(chosen.chat(request)), attempts.read()

    return asyncio.run(run())
