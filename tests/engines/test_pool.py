"""The pool with real llama.cpp processes of the house model."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from outcrop.engines.engine import ChatRequest, EngineBusy, EngineError, EngineFailed, Finish, Message, Sampling, Text
from outcrop.engines.pool import Engines
from outcrop.models.specs import house_path
from outcrop.settings import EngineSettings, ModelSpec
from tests.engines.waiting import until

# Held to a schema that cannot be met in fewer than some eight hundred tokens, however early the model would end.
LONG = ChatRequest(
    (Message("user", (Text("Go on."),)),),
    json_schema={"type": "array", "items": {"enum": ["on and on"]}, "minItems": 180},
    sampling=Sampling(max_tokens=900, temperature=0),
)
SHORT = ChatRequest(LONG.messages, sampling=Sampling(max_tokens=2, temperature=0))


def spec(name: str, **changes: Any) -> ModelSpec:
    return ModelSpec(
        **{"id": name, "engine": "llamacpp", "path": str(house_path()), "context_tokens": 1024, "slots": 2, **changes}
    )


@asynccontextmanager
async def pool(home: Path, *specs: ModelSpec, **settings: Any) -> AsyncIterator[Engines]:
    engines = Engines(specs, EngineSettings(**settings), home=home)
    try:
        yield engines
    finally:
        await engines.close()


def states(engines: Engines) -> dict[object, object]:
    return {status["model"]: status["state"] for status in engines.status()}


async def answered(engines: Engines, name: str) -> None:
    deltas = [delta async for delta in engines.get(name).chat(SHORT)]
    assert isinstance(deltas[-1], Finish)


def test_a_model_is_started_by_its_first_request(tmp_path: Path) -> None:
    async def run() -> None:
        async with pool(tmp_path, spec("a")) as engines:
            assert engines.capabilities("a").tools
            assert engines.capabilities("a").context_tokens == 1024
            assert states(engines) == {"a": "idle"}
            await answered(engines, "a")
            assert states(engines) == {"a": "ready"}

    asyncio.run(run())


def test_prewarmed_before_anybody_asks(tmp_path: Path) -> None:
    async def run() -> None:
        async with pool(tmp_path, spec("a", prewarm=True), spec("b")) as engines:
            await engines.prewarm()
            await until(lambda: states(engines) == {"a": "ready", "b": "idle"})

    asyncio.run(run())


def test_idle_models_are_unloaded_and_come_back(tmp_path: Path) -> None:
    async def run() -> None:
        async with pool(tmp_path, spec("a"), idle_seconds=0.4) as engines:
            await engines.prewarm()
            running = engines.get("a").chat(LONG)
            await anext(running)
            await asyncio.sleep(1)
            assert states(engines) == {"a": "ready"}, "a model in use is not idle"
            await running.aclose()  # type: ignore[attr-defined]  # engines promise a generator
            await until(lambda: states(engines) == {"a": "idle"})
            await answered(engines, "a")

    asyncio.run(run())


def test_memory_is_made_by_unloading_the_longest_idle(tmp_path: Path) -> None:
    async def run() -> None:
        async with pool(tmp_path, spec("a"), spec("b"), spec("c"), memory_mb=140) as engines:
            await answered(engines, "a")
            await answered(engines, "b")
            await answered(engines, "a")
            await answered(engines, "c")
            loaded = [name for name, state in states(engines).items() if state == "ready"]
            assert "c" in loaded
            assert "b" not in loaded

    asyncio.run(run())


def test_what_is_in_use_is_not_unloaded(tmp_path: Path) -> None:
    async def run() -> None:
        async with pool(tmp_path, spec("a"), spec("b"), memory_mb=100) as engines:
            running = engines.get("a").chat(LONG)
            await anext(running)
            with pytest.raises(EngineBusy):
                await answered(engines, "b")
            await running.aclose()  # type: ignore[attr-defined]  # engines promise a generator
            await answered(engines, "b")
            assert states(engines) == {"a": "idle", "b": "ready"}

    asyncio.run(run())


def test_two_that_start_at_once_share_the_budget(tmp_path: Path) -> None:
    async def run() -> None:
        async with pool(tmp_path, spec("a"), spec("b"), memory_mb=100) as engines:
            outcomes = await asyncio.gather(answered(engines, "a"), answered(engines, "b"), return_exceptions=True)
            assert sorted(type(outcome).__name__ for outcome in outcomes) == ["EngineBusy", "NoneType"]

    asyncio.run(run())


def test_a_model_larger_than_the_budget_is_a_sentence(tmp_path: Path) -> None:
    async def run() -> None:
        async with pool(tmp_path, spec("a"), memory_mb=10) as engines:
            with pytest.raises(EngineError, match=r"engines\.memory_mb is 10"):
                await answered(engines, "a")

    asyncio.run(run())


def test_a_crash_hits_its_requests_only_and_is_mended(tmp_path: Path) -> None:
    async def run() -> None:
        async with pool(tmp_path, spec("a"), spec("b")) as engines:
            other = engines.get("b").chat(LONG)
            await anext(other)
            running = engines.get("a").chat(LONG)
            await anext(running)
            os.kill(_pid(engines, "a"), signal.SIGKILL)
            with pytest.raises(EngineFailed):
                async for _ in running:
                    pass
            await until(lambda: engines.status()[0]["restarts"] == 1 and states(engines)["a"] == "ready")
            await answered(engines, "a")
            await anext(other)
            await other.aclose()  # type: ignore[attr-defined]  # engines promise a generator

    asyncio.run(run())


def _pid(engines: Engines, name: str) -> int:
    local = engines._entries[name].local
    assert local is not None
    assert local.process.pid is not None
    return local.process.pid


def test_broken_models_do_not_hurt_the_others(tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + b"\xff" * 64)
    specs = [
        spec("good"), spec("broken", path=str(broken)), spec("missing", path=str(tmp_path / "no.gguf")),
        ModelSpec(id="nowhere", engine="openai"), ModelSpec(id="pathless", engine="llamacpp"),
    ]  # fmt: skip

    async def run() -> None:
        async with pool(tmp_path, *specs) as engines:
            for name in ("broken", "missing", "nowhere", "pathless"):
                with pytest.raises(EngineError):
                    engines.capabilities(name)
                with pytest.raises(EngineError):
                    await answered(engines, name)
            await answered(engines, "good")

    asyncio.run(run())


def test_too_many_requests_are_turned_away(tmp_path: Path) -> None:
    async def run() -> None:
        async with pool(tmp_path, spec("a", slots=1, queue=1)) as engines:
            running = [engines.get("a").chat(LONG) for _ in range(2)]
            await anext(running[0])
            waiting = asyncio.ensure_future(anext(running[1]))
            await asyncio.sleep(0)
            with pytest.raises(EngineBusy):
                await answered(engines, "a")
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            for one in running:
                await one.aclose()  # type: ignore[attr-defined]  # engines promise a generator
            await answered(engines, "a")

    asyncio.run(run())


def test_a_model_moved_away_fails_with_a_sentence(tmp_path: Path) -> None:
    moved = tmp_path / "moved.gguf"
    shutil.copy(house_path(), moved)

    async def run() -> None:
        async with pool(tmp_path, spec("a", path=str(moved))) as engines:
            assert engines.capabilities("a").chat
            moved.unlink()
            with pytest.raises(EngineError):
                await answered(engines, "a")

    asyncio.run(run())
