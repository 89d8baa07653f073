"""Admission: who runs, who waits, in which order, and who is turned away."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outcrop.engines.admission import Admission, Admitted, Tier, ask_as, ask_for
from outcrop.engines.engine import EngineBusy


async def asked(admission: Admission, tier: Tier = "default", account: str = "") -> Admitted:
    ask_for(tier)
    ask_as(account)
    return await admission.enter()


def begun(coroutine: Coroutine[Any, Any, Admitted]) -> asyncio.Task[Admitted]:
    """A task of its own, so that its class is its own."""
    return asyncio.ensure_future(coroutine)


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def test_without_a_limit_everybody_runs() -> None:
    async def run() -> None:
        admission = Admission("m", None)
        for n in range(100):
            await admission.enter()
            assert admission.running == n + 1

    asyncio.run(run())


def test_priority_goes_first_and_flex_waits() -> None:
    async def run() -> None:
        admission = Admission("m", 1, 10)
        first = await admission.enter()
        order: list[str] = []

        async def one(name: str, tier: Tier) -> None:
            admitted = await asked(admission, tier)
            order.append(name)
            admitted.release()

        waiting = [("f1", "flex"), ("d1", "default"), ("p1", "priority"), ("d2", "default"), ("p2", "priority")]
        tasks = []
        for name, tier in waiting:
            tasks.append(asyncio.create_task(one(name, tier)))  # type: ignore[arg-type]  # the three classes
            await turns()
        assert admission.waiting == 5
        first.release()
        await asyncio.gather(*tasks)
        assert order == ["p1", "p2", "d1", "d2", "f1"]
        assert (admission.running, admission.waiting) == (0, 0)

    asyncio.run(run())


def test_beyond_the_bound_the_last_of_the_lowest_class_is_turned_away() -> None:
    async def run() -> None:
        admission = Admission("m", 1, 2)
        await admission.enter()
        flex = [begun(asked(admission, "flex")) for _ in range(2)]
        await turns()
        with pytest.raises(EngineBusy):
            await begun(asked(admission, "flex"))
        priority = begun(asked(admission, "priority"))
        await turns()
        assert isinstance(flex[1].exception(), EngineBusy)
        assert not flex[0].done()
        default = begun(asked(admission, "default"))
        await turns()
        assert isinstance(flex[0].exception(), EngineBusy)
        with pytest.raises(EngineBusy):
            await begun(asked(admission, "default"))
        assert (admission.waiting, admission.turned_away) == (2, 4)
        for task in (priority, default):
            task.cancel()
        await asyncio.gather(priority, default, return_exceptions=True)
        assert admission.waiting == 0

    asyncio.run(run())


def test_accounts_take_turns() -> None:
    async def run() -> None:
        admission = Admission("m", 1, 100)
        first = await admission.enter()
        order: list[str] = []

        async def one(account: str) -> None:
            admitted = await asked(admission, "default", account)
            order.append(account)
            admitted.release()

        tasks = [asyncio.create_task(one(account)) for account in ["a"] * 6 + ["b"] * 2 + ["c"]]
        await turns()
        first.release()
        await asyncio.gather(*tasks)
        assert "".join(order) == "abcabaaaa"

    asyncio.run(run())


def test_who_has_the_most_waiting_makes_way() -> None:
    async def run() -> None:
        admission = Admission("m", 1, 3)
        await admission.enter()
        greedy = [begun(asked(admission, "default", "a")) for _ in range(3)]
        await turns()
        with pytest.raises(EngineBusy):
            await begun(asked(admission, "default", "a"))
        modest = begun(asked(admission, "default", "b"))
        await turns()
        assert isinstance(greedy[2].exception(), EngineBusy)
        # Two of one and one of the other: nobody has more of a claim.
        with pytest.raises(EngineBusy):
            await begun(asked(admission, "default", "b"))
        assert admission.waiting == 3
        for task in (*greedy[:2], modest):
            task.cancel()
        await asyncio.gather(*greedy[:2], modest, return_exceptions=True)
        assert admission.waiting == 0

    asyncio.run(run())


def test_who_gives_up_waiting_is_passed_over() -> None:
    async def run() -> None:
        admission = Admission("m", 1, 10)
        first = await admission.enter()
        gone, stays = begun(asked(admission)), begun(asked(admission))
        await turns()
        gone.cancel()
        await turns()
        assert admission.waiting == 1
        first.release()
        await stays
        assert (admission.running, admission.waiting) == (1, 0)

    asyncio.run(run())


def test_let_in_and_cancelled_at_once_gives_the_room_back() -> None:
    async def run() -> None:
        admission = Admission("m", 1, 10)
        first = await admission.enter()
        gone, stays = begun(asked(admission)), begun(asked(admission))
        await turns()
        first.release()
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        await stays
        assert (admission.running, admission.waiting) == (1, 0)

    asyncio.run(run())


def test_the_hint_is_the_time_that_the_queue_takes() -> None:
    now = 0.0

    async def run() -> None:
        nonlocal now
        admission = Admission("m", 2, 0, clock=lambda: now)
        for _ in range(200):
            admitted = await admission.enter()
            now += 8
            admitted.release()
        held = [await admission.enter() for _ in range(2)]
        with pytest.raises(EngineBusy) as busy:
            await admission.enter()
        assert busy.value.retry_after == pytest.approx(4, rel=0.01)
        held[0].release()
        held[0].release()
        assert admission.running == 1

    asyncio.run(run())


@given(
    st.lists(
        st.tuples(st.sampled_from(["enter", "release", "cancel"]), st.sampled_from(["priority", "default", "flex"]))
    )
)
def test_the_counts_always_hold(steps: list[tuple[str, Tier]]) -> None:
    """Never more than the room runs, never more than the bound waits, and in the end nothing is left."""

    async def run() -> None:
        admission = Admission("m", 2, 3)
        tasks: list[asyncio.Task[Admitted]] = []
        for step, tier in steps:
            live = [task for task in tasks if not task.done()]
            running = [task for task in tasks if task.done() and not task.cancelled() and task.exception() is None]
            if step == "enter":
                tasks.append(begun(asked(admission, tier)))
            elif step == "release" and running:
                running[0].result().release()
                tasks.remove(running[0])
            elif step == "cancel" and live:
                live[-1].cancel()
            await turns()
            assert 0 <= admission.running <= 2
            assert 0 <= admission.waiting <= 3
            assert admission.waiting == sum(not task.done() for task in tasks)
            if admission.waiting:
                assert admission.running == 2
        while admission.running:
            for task in list(tasks):
                if task.done():
                    tasks.remove(task)
                    if not task.cancelled() and task.exception() is None:
                        task.result().release()
            await turns()
        assert (admission.running, admission.waiting) == (0, 0)

    asyncio.run(run())
