"""Models and adapters that come and go while the pool runs, with real llama.cpp processes of the house model."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from outcrop.engines.adapters import Adapter, check
from outcrop.engines.engine import ChatRequest, EngineError, Finish, Message, Sampling, Text, TextDelta
from outcrop.engines.pool import Engines
from outcrop.engines.weights import WeightsError
from outcrop.models.specs import house_path
from tests.engines.adapters import noise, write, zeros
from tests.engines.test_pool import LONG, pool, spec, states
from tests.engines.waiting import until

QUESTIONS = ("Hello, who are you?", "What is the capital of France?", "Tell me of the weather in Oslo, and of the sea.")


async def said(engines: Engines, name: str, question: str = QUESTIONS[0]) -> str:
    request = ChatRequest((Message("user", (Text(question),)),), sampling=Sampling(max_tokens=10, temperature=0))
    deltas = [delta async for delta in engines.get(name).chat(request)]
    assert isinstance(deltas[-1], Finish)
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


def test_a_model_comes_and_goes(tmp_path: Path) -> None:
    async def run() -> None:
        async with pool(tmp_path, spec("a")) as engines:
            await engines.prewarm()
            await asyncio.to_thread(engines.add, spec("b"))
            assert await said(engines, "b") == await said(engines, "a")
            running = engines.get("b").chat(LONG)
            await anext(running)
            late = engines.get("b")
            await asyncio.to_thread(engines.remove, "b")
            assert states(engines) == {"a": "ready"}
            with pytest.raises(EngineError, match="not served"):
                engines.get("b")
            # What runs is answered to its end.
            rest = [delta async for delta in running]
            assert isinstance(rest[-1], Finish)
            await until(lambda: not engines._retiring)
            with pytest.raises(EngineError, match="not served"):
                await late.start()

    asyncio.run(run())


def test_adapters_are_of_the_requests_that_name_them(tmp_path: Path) -> None:
    """Whatever a slot held before: llama.cpp would give the cache of one adapter to another."""

    async def run() -> None:
        async with pool(tmp_path, spec("a", reproducible=True)) as engines:
            alone = {("a", question): await said(engines, "a", question) for question in QUESTIONS}
            engines.add(Adapter("zeros", "a", zeros(tmp_path / "zeros.gguf")))
            for seed in (1, 2):
                engines.add(Adapter(f"noise{seed}", "a", noise(tmp_path / f"{seed}.gguf", seed)))
            for name in ("zeros", "noise1", "noise2"):
                alone |= {(name, question): await said(engines, name, question) for question in QUESTIONS}
            for question in QUESTIONS:
                assert alone["zeros", question] == alone["a", question]
                assert len({alone[name, question] for name in ("a", "noise1", "noise2")}) == 3
            asked = [random.Random(place).choice(list(alone)) for place in range(60)]
            again = await asyncio.gather(*(said(engines, *one) for one in asked[:16]))
            for one in asked[16:]:
                again.append(await said(engines, *one))
            assert again == [alone[one] for one in asked]

    asyncio.run(run())


def test_an_adapter_comes_under_load_and_no_request_fails(tmp_path: Path) -> None:
    async def run() -> None:
        async with pool(tmp_path, spec("a", queue=100, reproducible=True)) as engines:
            await engines.prewarm()
            usual = await said(engines, "a")
            running = engines.get("a").chat(LONG)
            await anext(running)
            done = asyncio.Event()

            async def ask_on() -> list[str]:
                answers = []
                while not done.is_set():
                    answers.append(await said(engines, "a"))
                return answers

            asking = [asyncio.create_task(ask_on()) for _ in range(2)]
            before = engines._entries["a"].local
            assert before is not None
            process = before.process
            engines.add(Adapter("noise", "a", noise(tmp_path / "noise.gguf", 1)))
            changed = await said(engines, "noise")
            assert before.process is not process, "a process with the adapter took the place of the one without"
            done.set()
            assert {answer for answers in await asyncio.gather(*asking) for answer in answers} == {usual}
            assert changed != usual
            # What began before is answered by the process that it began in, which then ends.
            assert isinstance([delta async for delta in running][-1], Finish)
            await until(lambda: process.state == "idle")
            engines.remove("noise")
            with pytest.raises(EngineError, match="not served"):
                engines.get("noise")
            assert await said(engines, "a") == usual

    asyncio.run(run())


def test_an_adapter_that_does_not_fit_hurts_nobody_else(tmp_path: Path) -> None:
    async def run() -> None:
        async with pool(tmp_path, spec("a")) as engines:
            engines.add(Adapter("foreign", "a", write(tmp_path / "foreign.gguf", None, architecture="qwen2")))
            engines.add(Adapter("missing", "a", tmp_path / "missing.gguf"))
            engines.add(Adapter("good", "a", zeros(tmp_path / "good.gguf")))
            with pytest.raises(EngineError, match="architecture qwen2"):
                await said(engines, "foreign")
            with pytest.raises(EngineError, match="cannot be read"):
                await said(engines, "missing")
            assert await said(engines, "good") == await said(engines, "a")

    asyncio.run(run())


def test_shapes_are_checked(tmp_path: Path) -> None:
    check(zeros(tmp_path / "zeros.gguf"), house_path())
    with pytest.raises(WeightsError, match="does not fit"):
        check(write(tmp_path / "uneven.gguf", None, rank=8), house_path())
    with pytest.raises(WeightsError, match="not a LoRA adapter"):
        check(house_path(), house_path())
