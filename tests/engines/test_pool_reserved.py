"""Reserved places in the pool: requests through real engines, one or several, and reservations that come from threads."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outcrop.engines import attempts
from outcrop.engines.admission import ask_as, ask_under
from outcrop.engines.engine import ChatRequest, Delta, Message, Text
from outcrop.engines.pool import Engines
from outcrop.engines.reserving import reservable, spread
from outcrop.settings import ChoiceSpec, EngineSettings, ModelSpec
from tests.engines.waiting import until

REQUEST = ChatRequest((Message("user", (Text("Hi"),)),))


@pytest.fixture
def script(tmp_path: Path) -> str:
    """An answer that begins at once and then takes minutes."""
    path = tmp_path / "slow.json"
    path.write_text(json.dumps({"rules": [{"text": "on and on " * 100, "delta_delay_ms": 500}]}))
    return str(path)


class Asking:
    """Requests, each in a task of its own, that have a place until they are ended."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines
        self._answers: dict[asyncio.Task[Any] | None, Any] = {}
        self.tasks: list[asyncio.Task[str]] = []

    def begin(self, model: str, reservation: str | None = None) -> asyncio.Task[str]:
        task = asyncio.create_task(self._held(model, reservation))
        self.tasks.append(task)
        return task

    async def _held(self, model: str, reservation: str | None) -> str:
        """The name of the engine that answers, where the model has several."""
        attempts.begin()
        ask_as(reservation or "others")
        ask_under(reservation)
        answer = cast("Any", self._engines.get(model).chat(REQUEST))
        first: Delta = await anext(answer)
        assert first is not None
        self._answers[asyncio.current_task()] = answer
        return next((engine for engine, _ in attempts.read()), "")

    async def end(self, task: asyncio.Task[str]) -> None:
        await self._answers.pop(task).aclose()

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for answer in self._answers.values():
            await answer.aclose()


@asynccontextmanager
async def asking(home: Path, *specs: ModelSpec) -> AsyncIterator[tuple[Engines, Asking]]:
    engines = Engines(specs, EngineSettings(), home=home)
    await engines.prewarm()
    asked = Asking(engines)
    try:
        yield engines, asked
    finally:
        await asked.close()
        await engines.close()


def status(engines: Engines, *names: str) -> Any:
    return [engines.status()[0].get(name) for name in names]


def test_a_reservation_answers_while_others_wait(tmp_path: Path, script: str) -> None:
    async def run() -> None:
        model = ModelSpec(id="m", engine="scripted", script=script, concurrency=3)
        async with asking(tmp_path, model) as (engines, asked):
            assert engines.reservable("m") == 2
            engines.reserve({"m": {"r": 2}})
            others = [asked.begin("m") for _ in range(3)]
            await others[0]
            await until(lambda: status(engines, "requests", "waiting", "reserved") == [3, 2, 2])
            await asyncio.gather(*(asked.begin("m", "r") for _ in range(2)))
            assert status(engines, "requests", "waiting") == [5, 2]
            await asked.end(others[0])
            await others[1]
            assert status(engines, "requests", "waiting") == [4, 1]

    asyncio.run(run())


def test_who_waits_learns_that_a_reservation_has_ended(tmp_path: Path, script: str) -> None:
    """From another thread, as operations run, and without any request that comes or ends."""

    async def run() -> None:
        model = ModelSpec(id="m", engine="scripted", script=script, concurrency=3)
        async with asking(tmp_path, model) as (engines, asked):
            engines.reserve({"m": {"r": 1, "s": 1}})
            others = [asked.begin("m") for _ in range(3)]
            await until(lambda: status(engines, "waiting") == [2])
            await asyncio.to_thread(engines.reserve, {"m": {"s": 1}})
            await asyncio.gather(*others[:2])
            assert status(engines, "waiting", "reserved") == [1, 1]
            await asyncio.to_thread(engines.reserve, {})
            await others[2]
            assert status(engines, "waiting", "reserved") == [0, None]

    asyncio.run(run())


def test_of_several_engines_it_goes_where_its_places_are_free(tmp_path: Path, script: str) -> None:
    async def run() -> None:
        one, other = (
            ChoiceSpec(name=name, engine="scripted", script=script, concurrency=2, weight=weight)
            for name, weight in (("one", 1.0), ("other", 1e9))
        )
        spare = ChoiceSpec(name="spare", engine="scripted", script=script, concurrency=2, fallback=True)
        async with asking(tmp_path, ModelSpec(id="m", engines=(spare, one, other))) as (engines, asked):
            assert engines.reservable("m") == 3
            engines.reserve({"m": {"r": 1, "s": 1}})
            # By the weights everything would go to `other`.
            assert await asked.begin("m") == "other"
            assert await asked.begin("m", "r") == "one"
            assert await asked.begin("m", "s") == "other"
            # With its places in use, it waits where it has some and not behind all others elsewhere.
            assert await asked.begin("m", "r") == "one"
            # All but the spare one are full now.
            engines.reserve({"m": {"t": 3}})
            assert await asked.begin("m", "t") == "spare"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"concurrency": 1}, 0),
        ({}, None),
        ({"engines": (ChoiceSpec(engine="scripted", concurrency=3), ChoiceSpec(engine="scripted"))}, None),
        ({"engines": (ChoiceSpec(engine="scripted", concurrency=3),) * 2}, 4),
    ],
)
def test_how_much_may_be_reserved(tmp_path: Path, changes: dict[str, Any], expected: int | None) -> None:
    given = {"id": "m", "engine": "scripted", **changes}
    if "engines" in changes:
        del given["engine"]
    assert Engines([ModelSpec(**given)], EngineSettings(), home=tmp_path).reservable("m") == expected


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.dictionaries(st.sampled_from("abcd"), st.integers(1, 6)))
def test_all_that_fits_is_spread_and_a_place_stays_in_each_engine(rooms: list[int], wanted: Mapping[str, int]) -> None:
    most = reservable(rooms)
    assert most == sum(rooms) - len(rooms)
    spread_over = spread(wanted, rooms)
    for room, places in zip(rooms, spread_over, strict=True):
        assert sum(places.values()) < room
        assert all(number > 0 for number in places.values())
    if sum(wanted.values()) <= most:
        assert {name: sum(places.get(name, 0) for places in spread_over) for name in wanted} == wanted
