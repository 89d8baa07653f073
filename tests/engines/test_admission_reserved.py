"""Admission with reserved places: they are nobody else's, what is left of them is used, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outcrop.engines.admission import Admission, Admitted, Tier, ask_as, ask_for, ask_under
from outcrop.engines.engine import EngineBusy
from tests.engines.test_admission import turns

ROOM, BOUND = 5, 6


async def asked(admission: Admission, reservation: str | None = None, tier: Tier = "default") -> Admitted:
    ask_for(tier)
    ask_as(reservation or "others")
    ask_under(reservation)
    return await admission.enter()


def begun(coroutine: Coroutine[Any, Any, Admitted]) -> asyncio.Task[Admitted]:
    return asyncio.ensure_future(coroutine)


async def entering(admission: Admission, *reservations: str | None) -> list[asyncio.Task[Admitted]]:
    """One after the other."""
    tasks = []
    for reservation in reservations:
        tasks.append(begun(asked(admission, reservation)))
        await turns()
    return tasks


def inside(tasks: list[asyncio.Task[Admitted]]) -> list[bool]:
    return [task.done() for task in tasks]


def test_others_do_not_get_a_reserved_place_though_nobody_uses_it() -> None:
    async def run() -> None:
        admission = Admission("m", 3)
        admission.reserve({"r": 2})
        others = await entering(admission, None, None, None)
        assert inside(others) == [True, False, False]
        assert (admission.running, admission.waiting, admission.reserved) == (1, 2, 2)
        reserved = await entering(admission, "r", "r")
        assert inside(reserved) == [True, True]
        others[0].result().release()
        await turns()
        assert inside(others) == [True, True, False]
        reserved[0].result().release()
        await turns()
        assert not others[2].done()
        others[1].result().release()
        await others[2]

    asyncio.run(run())


def test_more_than_its_places_take_what_nobody_else_waits_for() -> None:
    async def run() -> None:
        admission = Admission("m", 4)
        admission.reserve({"r": 1, "s": 1})
        under_r = await entering(admission, "r", "r", "r", "r")
        assert inside(under_r) == [True, True, True, False]
        assert inside(await entering(admission, "s")) == [True]
        (other,) = await entering(admission, None)
        # Two of r run on places of all: the first that ends makes room for the other, who waited less.
        under_r[0].result().release()
        await turns()
        assert other.done()
        assert not under_r[3].done()
        under_r[1].result().release()
        await turns()
        assert under_r[3].done()

    asyncio.run(run())


def test_a_reservation_made_while_all_places_are_in_use_has_the_next_ones() -> None:
    async def run() -> None:
        admission = Admission("m", 3)
        others = await entering(admission, None, None, None, None)
        admission.reserve({"r": 2})
        reserved = await entering(admission, "r", "r")
        assert inside(reserved) == [False, False]
        for ended in range(2):
            others[ended].result().release()
            await turns()
            assert sum(inside(reserved)) == ended + 1
        assert not others[3].done()
        others[2].result().release()
        await others[3]

    asyncio.run(run())


def test_a_reservation_that_ends_gives_its_places_to_those_who_wait() -> None:
    async def run() -> None:
        admission = Admission("m", 3)
        admission.reserve({"r": 2})
        others = await entering(admission, None, None, None)
        reserved = await entering(admission, "r", "r", "r")
        admission.reserve({})
        await turns()
        assert isinstance(reserved[2].exception(), EngineBusy)
        assert inside(others) == [True, False, False]
        reserved[0].result().release()
        await turns()
        assert inside(others) == [True, True, False]
        # Whoever names a reservation that is no more waits like all others.
        (late,) = await entering(admission, "r")
        reserved[1].result().release()
        await turns()
        assert (others[2].done(), late.done(), admission.reserved) == (True, False, 0)
        late.cancel()
        await asyncio.gather(late, return_exceptions=True)

    asyncio.run(run())


def test_each_reservation_has_a_bound_of_its_own() -> None:
    async def run() -> None:
        admission = Admission("m", 4, 4)
        admission.reserve({"r": 1})
        others = await entering(admission, *[None] * 7)
        assert (admission.running, admission.waiting) == (3, 4)
        reserved = await entering(admission, "r", "r")
        assert inside(reserved) == [True, False]
        with pytest.raises(EngineBusy):
            await begun(asked(admission, "r"))
        with pytest.raises(EngineBusy):
            await begun(asked(admission))
        assert admission.turned_away == 2
        for task in (*others[3:], reserved[1]):
            task.cancel()
        await asyncio.gather(*others[3:], reserved[1], return_exceptions=True)

    asyncio.run(run())


def test_without_a_queue_a_place_of_ones_own_is_still_waited_for() -> None:
    async def run() -> None:
        admission = Admission("m", 2, 0)
        others = await entering(admission, None, None)
        admission.reserve({"r": 1})
        (reserved,) = await entering(admission, "r")
        assert not reserved.done()
        others[0].result().release()
        await reserved
        with pytest.raises(EngineBusy):
            await begun(asked(admission, "r"))

    asyncio.run(run())


def test_who_was_cancelled_is_passed_over_before_his_task_knows_it() -> None:
    async def run() -> None:
        admission = Admission("m", 1)
        first = await admission.enter()
        gone, stays = await entering(admission, None, None)
        gone.cancel()
        first.release()
        await stays
        assert (admission.running, admission.waiting) == (1, 0)

    asyncio.run(run())


@pytest.mark.parametrize("places", [{"r": 3}, {"r": 2, "s": 1}, {"r": 0}])
def test_a_place_stays_for_all(places: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="cannot be reserved"):
        Admission("m", 3).reserve(places)
    with pytest.raises(ValueError, match="cannot be reserved"):
        Admission("m", None).reserve({"r": 1})


def test_how_much_of_a_reservation_is_used() -> None:
    async def run() -> None:
        admission = Admission("m", 4)
        admission.reserve({"r": 2})
        for expected in (-2.0, -1.0, 0.0, 1.0):
            ask_under("r")
            assert admission.overuse() == expected
            await admission.enter()
        ask_under(None)
        assert admission.overuse() == 0.0
        ask_under("s")
        assert admission.overuse() == float("inf")

    asyncio.run(run())


@dataclass
class Played:
    """What a sequence of steps did, counted apart from the admission. A reservation that ended and came back is another."""

    admission: Admission
    places: dict[str, int] = field(default_factory=dict)
    times: dict[str, int] = field(default_factory=dict)
    tasks: list[tuple[asyncio.Task[Admitted], tuple[str, int] | None]] = field(default_factory=list)

    def enter(self, name: str | None, tier: Tier) -> None:
        under = (name, self.times.get(name, 0)) if name in self.places else None
        self.tasks.append((begun(asked(self.admission, name, tier)), under))

    def reserve(self, places: dict[str, int]) -> None:
        for name in self.places.keys() - places.keys():
            self.times[name] = self.times.get(name, 0) + 1
        self.places = places
        self.admission.reserve(places)

    def release(self, which: int) -> None:
        if running := self.running():
            one = running[which % len(running)]
            self.tasks.remove(one)
            one[0].result().release()

    def cancel(self, which: int) -> None:
        if waiting := self.waiting():
            waiting[which % len(waiting)][0].cancel()

    def forget_refused(self) -> None:
        self.tasks = [one for one in self.tasks if not one[0].done() or _entered(one[0])]

    def running(self) -> list[tuple[asyncio.Task[Admitted], tuple[str, int] | None]]:
        return [one for one in self.tasks if _entered(one[0])]

    def waiting(self) -> list[tuple[asyncio.Task[Admitted], tuple[str, int] | None]]:
        return [one for one in self.tasks if not one[0].done()]

    def used(self, name: str) -> int:
        return sum(under == (name, self.times.get(name, 0)) for _, under in self.running())

    @property
    def on_places_of_all(self) -> int:
        return len(self.running()) - sum(min(self.used(name), number) for name, number in self.places.items())

    @property
    def of_all(self) -> int:
        return ROOM - sum(self.places.values())


def _entered(task: asyncio.Task[Admitted]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


RESERVATIONS = st.dictionaries(st.sampled_from("rst"), st.integers(1, 4)).filter(
    lambda places: sum(places.values()) < ROOM
)
STEPS = st.one_of(
    st.tuples(
        st.just("enter"), st.sampled_from([None, None, "r", "s"]), st.sampled_from(["priority", "default", "flex"])
    ),
    st.tuples(st.just("release"), st.integers(0, 9), st.none()),
    st.tuples(st.just("cancel"), st.integers(0, 9), st.none()),
    st.tuples(st.just("reserve"), RESERVATIONS, st.none()),
)


def held(played: Played, before: int, *, changed: bool) -> None:
    """What is true after every step; `before`: how many were on places of all before it."""
    admission = played.admission
    assert admission.running == len(played.running()) <= ROOM
    assert admission.waiting == len(played.waiting())
    # Nobody comes onto a reserved place of somebody else: who is there was there before it was reserved.
    if not changed:
        assert played.on_places_of_all <= max(played.of_all, before)
    # Places of all are not left empty while somebody waits; reserved ones not, while one of theirs does.
    if admission.waiting:
        assert played.on_places_of_all >= played.of_all
    for name, number in played.places.items():
        if any(under == (name, played.times.get(name, 0)) for _, under in played.waiting()):
            assert played.used(name) >= number or admission.running == ROOM


@given(st.lists(STEPS, max_size=40))
def test_reserved_places_are_nobody_elses_and_none_is_wasted(steps: list[tuple[str, Any, Any]]) -> None:
    async def run() -> None:
        played = Played(Admission("m", ROOM, BOUND))
        for step, what, tier in steps:
            before = played.on_places_of_all
            getattr(played, step)(*((what, tier) if step == "enter" else (what,)))
            await turns()
            played.forget_refused()
            held(played, before, changed=step == "reserve")
        # Nobody starves: as places come free, all who wait get in.
        while played.running():
            before = played.on_places_of_all
            played.release(0)
            await turns()
            held(played, before, changed=False)
        assert not played.tasks
        assert (played.admission.running, played.admission.waiting) == (0, 0)

    asyncio.run(run())


@given(st.integers(0, 12), st.integers(0, 12), st.integers(1, ROOM - 1))
def test_a_reserved_request_never_waits_for_others(others: int, under: int, places: int) -> None:
    """However many others run and wait: as many as there are places of its own enter at once."""

    async def run() -> None:
        admission = Admission("m", ROOM, 100)
        admission.reserve({"r": places})
        crowd = await entering(admission, *[None] * others)
        own = await entering(admission, *["r"] * under)
        assert sum(inside(own)) >= min(under, places)
        assert sum(inside(crowd)) == min(others, ROOM - places)
        for task in (*crowd, *own):
            task.cancel()
        await asyncio.gather(*crowd, *own, return_exceptions=True)

    asyncio.run(run())
