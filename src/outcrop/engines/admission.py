"""Who may use an engine now, who waits, and who is turned away.

So many requests run at once as the engine has room for; the others wait in an order of three classes: `priority` before
`default` before `flex`, each by arrival. The queue has a bound. A request beyond it is turned away at once, unless one of
a lower class waits: then the last of those is.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable
from contextvars import ContextVar
from typing import Literal, TypeAlias

from outcrop.engines.engine import EngineBusy

Tier: TypeAlias = Literal["priority", "default", "flex"]

_RANKS: dict[Tier, int] = {"priority": 0, "default": 1, "flex": 2}
_tier: ContextVar[Tier] = ContextVar("outcrop_tier", default="default")

# Waiting requests for each that may run, where the settings do not say.
WAITING_EACH = 8
# What an answer is taken to last until one has ended.
FIRST_GUESS_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0


def ask_for(tier: Tier) -> None:
    """From now on, in this task, engines are asked in this class."""
    _tier.set(tier)


class Admission:
    """`room` requests run at once (None: no limit), `bound` wait. `clock` gives seconds that only grow."""

    def __init__(
        self, name: str, room: int | None, bound: int | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._room = room
        self._bound = WAITING_EACH * (room or 0) if bound is None else bound
        self._clock = clock
        self._heap: list[tuple[int, int, _Waiter]] = []
        self._arrivals = 0
        self._seconds = FIRST_GUESS_SECONDS
        self.running = 0
        self.waiting = 0
        self.turned_away = 0

    async def enter(self) -> Admitted:
        """Waits for room. EngineBusy at once where the queue is full, or later where somebody of a higher class comes."""
        rank = _RANKS[_tier.get()]
        if self._room is None or (self.running < self._room and not self.waiting):
            self.running += 1
            return Admitted(self, self._clock())
        if self.waiting >= self._bound:
            self._make_way(rank)
        waiter = _Waiter()
        self._arrivals += 1
        heapq.heappush(self._heap, (rank, self._arrivals, waiter))
        self.waiting += 1
        try:
            await waiter.future
        except asyncio.CancelledError:
            self._cancelled(waiter)
            raise
        return Admitted(self, self._clock())

    def _make_way(self, rank: int) -> None:
        """Turns away the last of the lowest class, or raises EngineBusy where none is lower than `rank`."""
        self.turned_away += 1
        lowest = max((entry for entry in self._heap if not entry[2].future.done()), default=None)
        if lowest is None or lowest[0] <= rank:
            raise self._busy()
        self.waiting -= 1
        lowest[2].future.set_exception(self._busy())

    def _busy(self) -> EngineBusy:
        seconds = self._seconds * (self.waiting + 1) / (self._room or 1)
        return EngineBusy(f"{self._name} has {self.waiting} requests waiting.", min(seconds, LONGEST_RETRY_SECONDS))

    def _cancelled(self, waiter: _Waiter) -> None:
        if waiter.future.cancelled():
            self.waiting -= 1
        elif waiter.future.exception() is None:
            # It was let in and cancelled in the same turn of the loop.
            self._release(None)

    def _release(self, seconds: float | None) -> None:
        self.running -= 1
        if seconds is not None:
            self._seconds += 0.1 * (seconds - self._seconds)
        while self._heap and self._room is not None and self.running < self._room:
            _, _, waiter = heapq.heappop(self._heap)
            if not waiter.future.done():
                self.waiting -= 1
                self.running += 1
                waiter.future.set_result(None)


class Admitted:
    """Room that was given. `release` gives it back, once."""

    __slots__ = ("_admission", "_since")

    def __init__(self, admission: Admission, since: float) -> None:
        self._admission: Admission | None = admission
        self._since = since

    def release(self) -> None:
        admission, self._admission = self._admission, None
        if admission is not None:
            admission._release(admission._clock() - self._since)


class _Waiter:
    __slots__ = ("future",)

    def __init__(self) -> None:
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __lt__(self, other: object) -> bool:
        return False
