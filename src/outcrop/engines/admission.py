"""Who may use an engine now, who waits, and who is turned away.

So many requests run at once as the engine has room for; the others wait in three classes: `priority` before `default` before
`flex`. Within a class accounts take turns, so that one with a thousand requests delays another's single one by one place.
The queue has a bound. A request beyond it is turned away at once, unless somebody of a lower class waits, or an account of
its own class has more waiting than its own: then the last of those is turned away instead.

Places may be reserved. A request under a reservation takes one of its places, and where those are in use, one that nobody
else waits for; it waits in a queue of its reservation, with a bound of its own. All others have the places that are left.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Literal, TypeAlias

from outcrop.engines.engine import EngineBusy

Tier: TypeAlias = Literal["priority", "default", "flex"]

_RANKS: dict[Tier, int] = {"priority": 0, "default": 1, "flex": 2}
_tier: ContextVar[Tier] = ContextVar("outcrop_tier", default="default")
_account: ContextVar[str] = ContextVar("outcrop_account", default="")
_reservation: ContextVar[str | None] = ContextVar("outcrop_reservation", default=None)

# Waiting requests for each that may run, where the settings do not say.
WAITING_EACH = 8
# What an answer is taken to last until one has ended.
FIRST_GUESS_SECONDS = 1.0
LONGEST_RETRY_SECONDS = 60.0


def ask_for(tier: Tier) -> None:
    """From now on, in this task, engines are asked in this class."""
    _tier.set(tier)


def ask_as(account: str) -> None:
    """From now on, in this task, engines are asked for this account."""
    _account.set(account)


def ask_under(reservation: str | None) -> None:
    """From now on, in this task, engines are asked under this reservation; None: under none."""
    _reservation.set(reservation)


class Admission:
    """`room` requests run at once (None: no limit), `bound` wait. `clock` gives seconds that only grow."""

    def __init__(
        self, name: str, room: int | None, bound: int | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._name = name
        self._room = room
        self._bound = WAITING_EACH * (room or 0) if bound is None else bound
        self._clock = clock
        self._classes = tuple(_Class() for _ in _RANKS)
        self._reservations: dict[str, _Reservation] = {}
        self._seconds = FIRST_GUESS_SECONDS
        self.running = 0
        self.turned_away = 0

    @property
    def waiting(self) -> int:
        return self._waiting_unreserved + sum(one.queue.waiting for one in self._reservations.values())

    @property
    def _waiting_unreserved(self) -> int:
        return sum(one.waiting for one in self._classes)

    @property
    def reserved(self) -> int:
        """Places that are kept for somebody, in use or not."""
        return sum(one.places for one in self._reservations.values())

    def reservations(self) -> dict[str, tuple[int, int, int]]:
        """Of each reservation: its places here, how many requests it has running, and how many waiting."""
        return {name: (one.places, one.used, one.queue.waiting) for name, one in self._reservations.items()}

    def reserve(self, places: Mapping[str, int]) -> None:
        """From now on so many places are kept for each reservation, and for no other.

        Who runs, goes on: what he holds comes to its reservation when he ends. Who waits under a reservation that is no more
        is turned away. ValueError if no place would be left for others.
        """
        if places and (min(places.values()) < 1 or sum(places.values()) >= (self._room or 0)):
            raise ValueError(f"{self._name}: of {self._room} places, {dict(places)} cannot be reserved.")
        for name in self._reservations.keys() - places.keys():
            self._dissolve(self._reservations.pop(name))
        for name, number in places.items():
            self._reservations.setdefault(name, _Reservation()).places = number
        self._let_in()

    def overuse(self) -> float:
        """By how many requests the task's reservation has more running than places here: below 0, one is free.

        Infinite where it has none; 0 of a task without a reservation.
        """
        name = _reservation.get()
        if name is None:
            return 0.0
        found = self._reservations.get(name)
        if found is None:
            return math.inf
        over = float(found.used - found.places)
        return over if self._has_own_place(found) else max(0.0, over)

    async def enter(self) -> Admitted:
        """Waits for room. EngineBusy at once where the queue is full, or later where somebody takes the place in it."""
        reservation = self._reservations.get(_reservation.get() or "")
        if self._enters_now(reservation):
            self._count_in(reservation)
            return Admitted(self, self._clock(), reservation)
        account = _account.get()
        if reservation is None:
            queue = self._classes[_RANKS[_tier.get()]]
            if self._waiting_unreserved >= self._bound:
                self._make_way(_RANKS[_tier.get()], account)
        else:
            queue = reservation.queue
            self._check_bound(reservation)
        waiter = queue.add(account)
        try:
            await waiter
        except asyncio.CancelledError:
            if queue.remove(account, waiter) is False and not waiter.cancelled() and waiter.exception() is None:
                # It was let in and cancelled in the same turn of the loop.
                self._release(None, reservation)
            raise
        return Admitted(self, self._clock(), reservation)

    def _enters_now(self, reservation: _Reservation | None) -> bool:
        if self._room is None:
            return True
        if reservation is None:
            return not self._waiting_unreserved and self._has_free_place()
        if not reservation.queue.waiting and self._has_own_place(reservation):
            return True
        return not self.waiting and self._has_free_place()

    def _has_own_place(self, reservation: _Reservation) -> bool:
        # There may be no room yet for a reservation that was made while others ran.
        return self._room is not None and self.running < self._room and reservation.used < reservation.places

    def _has_free_place(self) -> bool:
        """Whether there is a place that is kept for nobody."""
        kept = sum(max(0, one.places - one.used) for one in self._reservations.values())
        return self._room is not None and self.running + kept < self._room

    def _check_bound(self, reservation: _Reservation) -> None:
        """EngineBusy where as many wait as may. Whoever has a place of his own may always wait for it."""
        bound = math.ceil(self._bound * reservation.places / (self._room or 1))
        if reservation.queue.waiting >= bound + max(0, reservation.places - reservation.used):
            self.turned_away += 1
            raise self._busy(reservation.queue.waiting, reservation.places)

    def _make_way(self, rank: int, account: str) -> None:
        """Turns somebody away who has less of a claim, or raises EngineBusy where nobody has."""
        self.turned_away += 1
        busy = self._busy(self._waiting_unreserved, (self._room or 1) - self.reserved)
        for one in reversed(self._classes[rank:]):
            most, number = one.greediest()
            fair = one is not self._classes[rank] or number > self._classes[rank].of(account) + 1
            if number and fair:
                _turn_away(one.last_of(most), busy)
                return
        raise busy

    def _busy(self, waiting: int, places: int) -> EngineBusy:
        seconds = self._seconds * (waiting + 1) / places
        return EngineBusy(f"{self._name} has {waiting} requests waiting.", min(seconds, LONGEST_RETRY_SECONDS))

    def _dissolve(self, reservation: _Reservation) -> None:
        gone = EngineBusy(f"A reservation of {self._name} has ended.", FIRST_GUESS_SECONDS)
        while reservation.queue.waiting:
            _turn_away(reservation.queue.next(), gone)

    def _count_in(self, reservation: _Reservation | None) -> None:
        self.running += 1
        if reservation is not None:
            reservation.used += 1

    def _release(self, seconds: float | None, reservation: _Reservation | None) -> None:
        self.running -= 1
        if reservation is not None:
            reservation.used -= 1
        if seconds is not None:
            self._seconds += 0.1 * (seconds - self._seconds)
        self._let_in()

    def _let_in(self) -> None:
        """Reserved places to those they are kept for; the others to the classes, and what these leave to reservations."""
        for one in self._reservations.values():
            while one.queue.waiting and self._has_own_place(one):
                self._let_next_in(one.queue, one)
        for queue in self._classes:
            while queue.waiting and self._has_free_place():
                self._let_next_in(queue, None)
        for one in self._reservations.values():
            while one.queue.waiting and self._has_free_place():
                self._let_next_in(one.queue, one)

    def _let_next_in(self, queue: _Class, reservation: _Reservation | None) -> None:
        waiter = queue.next()
        # One that was cancelled is here until its task runs.
        if not waiter.done():
            self._count_in(reservation)
            waiter.set_result(None)


class Admitted:
    """Room that was given. `release` gives it back, once."""

    __slots__ = ("_admission", "_reservation", "_since")

    def __init__(self, admission: Admission, since: float, reservation: _Reservation | None) -> None:
        self._admission: Admission | None = admission
        self._since = since
        self._reservation = reservation

    def release(self) -> None:
        admission, self._admission = self._admission, None
        if admission is not None:
            admission._release(admission._clock() - self._since, self._reservation)


_Waiter: TypeAlias = "asyncio.Future[None]"


def _turn_away(waiter: _Waiter, busy: EngineBusy) -> None:
    if not waiter.done():
        waiter.set_exception(busy)


class _Class:
    """Those who wait in one class: accounts in turn, each with its requests in the order they came."""

    def __init__(self) -> None:
        self._accounts: dict[str, deque[_Waiter]] = {}
        self.waiting = 0

    def of(self, account: str) -> int:
        return len(self._accounts.get(account, ()))

    def add(self, account: str) -> _Waiter:
        waiter = asyncio.get_running_loop().create_future()
        self._accounts.setdefault(account, deque()).append(waiter)
        self.waiting += 1
        return waiter

    def next(self) -> _Waiter:
        """The first of the account whose turn it is, which then goes to the end."""
        account = next(iter(self._accounts))
        queue = self._accounts.pop(account)
        waiter = queue.popleft()
        if queue:
            self._accounts[account] = queue
        self.waiting -= 1
        return waiter

    def greediest(self) -> tuple[str, int]:
        """The account with the most waiting, and how many; ("", 0) if nobody waits."""
        account = max(self._accounts, key=self.of, default="")
        return account, self.of(account)

    def last_of(self, account: str) -> _Waiter:
        waiter = self._accounts[account][-1]
        self.remove(account, waiter)
        return waiter

    def remove(self, account: str, waiter: _Waiter) -> bool:
        """Whether it was still waiting."""
        queue = self._accounts.get(account)
        if queue is None or waiter not in queue:
            return False
        queue.remove(waiter)
        if not queue:
            del self._accounts[account]
        self.waiting -= 1
        return True


class _Reservation:
    """`used`: how many run under it, on its own places or beyond them."""

    __slots__ = ("places", "queue", "used")

    def __init__(self) -> None:
        self.places = 0
        self.used = 0
        self.queue = _Class()
