"""Asking an engine of ours, and which model it is."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import cast

import msgspec

from outcrop import __version__
from outcrop.engines.engine import (
    ChatRequest,
    CompletionRequest,
    Delta,
    Engine,
    EngineBusy,
    EngineError,
    EngineFailed,
    EngineTimeout,
    Finish,
    Message,
    Sampling,
    Text,
    TextDelta,
    is_callers_fault,
)
from outcrop.evaluation.asking import Answer, Ask, Question
from outcrop.evaluation.item import Turn
from outcrop.settings import ModelSpec, engines_of

# What may pass is tried again; a busy engine is not a failure and is waited for.
TRIES = 3
LONGEST_PAUSE_SECONDS = 30.0
BUSY_SECONDS = 600.0


def asks(engine: Engine, *, chat: bool = True) -> Ask:
    """`chat`: with the model's template; without, the prompt's texts are continued, as base models need it."""

    async def ask(question: Question) -> Answer:
        tries, begun = 0, time.monotonic()
        while True:
            try:
                return await _answer(engine, question, chat)
            except EngineBusy as problem:
                if time.monotonic() - begun > BUSY_SECONDS:
                    return Answer("", failure=f"busy for {BUSY_SECONDS:.0f} seconds: {problem}")
                await asyncio.sleep(min(problem.retry_after, LONGEST_PAUSE_SECONDS))
            except EngineError as problem:
                tries += 1
                if tries >= TRIES or is_callers_fault(problem) or not isinstance(problem, EngineFailed | EngineTimeout):
                    return Answer("", failure=f"{type(problem).__name__}: {problem}")
                await asyncio.sleep(min(0.5 * 2**tries, LONGEST_PAUSE_SECONDS))

    return ask


async def _answer(engine: Engine, question: Question, chat: bool) -> Answer:
    request = _request(question, chat)
    pieces: list[str] = []
    finish: Finish | None = None
    begun = time.monotonic()
    answer = engine.chat(request) if isinstance(request, ChatRequest) else engine.complete(request)
    # Engines promise an iterator that can be closed (`Engine.chat`), which its type does not say.
    async with aclosing(cast("AsyncGenerator[Delta, None]", answer)) as deltas:
        async for delta in deltas:
            if isinstance(delta, TextDelta):
                pieces.append(delta.text)
            elif isinstance(delta, Finish):
                finish = delta
    if finish is None:
        raise EngineFailed("The model's answer broke off.")
    usage = finish.usage
    seconds = time.monotonic() - begun
    # Half a character, as a cut-off answer may end with, can be written nowhere.
    text = "".join(pieces).encode("utf-8", "replace").decode()
    return Answer(text, finish.reason, usage.input_tokens, usage.output_tokens, seconds)


def _request(question: Question, chat: bool) -> ChatRequest | CompletionRequest:
    parameters, prompt = question.parameters, question.prompt
    sampling = Sampling(
        max_tokens=question.max_tokens,
        temperature=parameters.temperature,
        top_p=parameters.top_p,
        seed=question.seed,
        stop=prompt.stop,
    )
    if not chat:
        return CompletionRequest("\n\n".join(turn.text for turn in prompt.turns), sampling=sampling)
    return ChatRequest(tuple(_message(turn) for turn in prompt.turns), sampling=sampling)


def _message(turn: Turn) -> Message:
    return Message(turn.role, (Text(turn.text),))


def fingerprint(spec: ModelSpec, *, chat: bool = True) -> str:
    """What answers, for the cache: the model's settings, the size and time of each file that they name, and our version,
    which brings the engine's.
    """
    engines = engines_of(spec) or (spec,)
    names = [name for engine in engines for name in (engine.path, engine.script) if name is not None]
    files = [_state_of(Path(name).expanduser()) for name in names]
    return hashlib.sha256(msgspec.json.encode((spec, files, chat, __version__))).hexdigest()


def _state_of(path: Path) -> list[tuple[str, int, int]]:
    paths = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [(str(one), one.stat().st_size, one.stat().st_mtime_ns) for one in paths if one.is_file()]
