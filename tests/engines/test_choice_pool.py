"""Several engines of one model in the pool: those that run here are started, counted, unloaded and mended like any other."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from outcrop.engines import attempts
from outcrop.engines.engine import EngineBusy, EngineError, Finish
from outcrop.engines.pool import Engines
from outcrop.models.specs import house_path
from outcrop.settings import ChoiceSpec, EngineSettings, ModelSpec, engines_of
from tests.engines.test_pool import LONG, SHORT, pool, spec
from tests.engines.waiting import until


def local(**changes: Any) -> ChoiceSpec:
    given = {"name": "local", "engine": "llamacpp", "path": str(house_path()), "context_tokens": 1024, "slots": 2}
    return ChoiceSpec(**{**given, **changes})


SPARE = ChoiceSpec(name="spare", engine="scripted", fallback=True)


def several(name: str, *engines: ChoiceSpec, **changes: Any) -> ModelSpec:
    return ModelSpec(id=name, engines=engines, **changes)


async def answered_by(engines: Engines, name: str) -> str:
    attempts.begin()
    deltas = [delta async for delta in engines.get(name).chat(SHORT)]
    assert isinstance(deltas[-1], Finish)
    return attempts.read()[-1][0]


def inner(engines: Engines, place: int = 0) -> dict[str, Any]:
    status: Any = engines.status()[0]
    found: dict[str, Any] = status["engines"][place]
    return found


def test_one_that_runs_here_is_started_and_unloaded_when_idle(tmp_path: Path) -> None:
    async def run() -> None:
        async with pool(tmp_path, several("m", local(), SPARE), idle_seconds=0.4) as engines:
            await engines.prewarm()
            assert [status["model"] for status in engines.status()] == ["m"]
            assert inner(engines)["state"] == "idle"
            assert await answered_by(engines, "m") == "local"
            assert inner(engines)["state"] == "ready"
            running = engines.get("m").chat(LONG)
            await anext(running)
            assert inner(engines)["requests"] == 1
            await running.aclose()  # type: ignore[attr-defined]  # engines promise a generator
            await until(lambda: inner(engines)["state"] == "idle")

    asyncio.run(run())


def test_its_memory_is_counted(tmp_path: Path) -> None:
    async def run() -> None:
        async with pool(tmp_path, several("m", local()), spec("other"), memory_mb=100) as engines:
            running = engines.get("other").chat(LONG)
            await anext(running)
            with pytest.raises(EngineBusy):
                await answered_by(engines, "m")
            await running.aclose()  # type: ignore[attr-defined]  # engines promise a generator
            assert await answered_by(engines, "m") == "local"

    asyncio.run(run())


def test_another_answers_when_it_crashed_and_it_comes_back(tmp_path: Path) -> None:
    async def run() -> None:
        async with pool(tmp_path, several("m", local(), SPARE)) as engines:
            assert await answered_by(engines, "m") == "local"
            process = engines._entries["m/local"].local
            assert process is not None
            assert process.process.pid is not None
            os.kill(process.process.pid, signal.SIGKILL)
            await until(lambda: inner(engines).get("restarts") == 1 and inner(engines)["state"] == "ready")
            assert await answered_by(engines, "m") in ("local", "spare")

    asyncio.run(run())


def test_a_model_lives_while_one_of_its_engines_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    keyless = ChoiceSpec(name="keyless", engine="anthropic", api_key_env="NO_SUCH_KEY")
    engines = Engines([several("m", keyless, SPARE), several("n", keyless)], EngineSettings(), home=tmp_path)
    both, alone = engines.status()
    assert both["state"] == "ready"
    assert alone["state"] == "failed"
    assert engines.capabilities("m").context_tokens == 8192
    assert asyncio.run(answered_by(engines, "m")) == "spare"
    with pytest.raises(EngineError, match="NO_SUCH_KEY"):
        engines.capabilities("n")


def test_an_engine_elsewhere_knows_the_model_by_its_own_id() -> None:
    remote = ChoiceSpec(engine="bedrock", url="http://127.0.0.1:9")
    first, second, here = engines_of(several("a.b", remote, msgspec.structs.replace(remote, model="theirs"), local()))
    assert [(spec.id, spec.model) for spec in (first, second, here)] == [
        ("a.b/bedrock-1", "a.b"), ("a.b/bedrock-2", "theirs"), ("a.b/local", None),
    ]  # fmt: skip


def test_prewarmed_are_those_that_requests_go_to(tmp_path: Path) -> None:
    async def run() -> None:
        spare = local(name="spare", fallback=True)
        async with pool(tmp_path, several("m", local(), spare, prewarm=True)) as engines:
            await engines.prewarm()
            await until(lambda: inner(engines)["state"] == "ready")
            assert inner(engines, 1)["state"] == "idle"

    asyncio.run(run())
