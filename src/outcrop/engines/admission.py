"""Who may use an engine now, who waits, and who is turned away.

So many requests run at once as the engine has room for; the others wait in three classes: `priority` before `default` before
`flex`. Within a class accounts take turns, so that one with a thousand requests delays another's single one by one place.
The queue has a bound. A request beyond it is turned away at once, unless somebody of a lower class waits, or an account of
its own class has more waiting than its own: then the last of those is turned away instead.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from typing import Literal, TypeAlias

from outcrop.engines.engine import EngineBusy

Tier: TypeAlias = Literal["priority", "default", "flex"]

_RANKS: dict[Tier, int] = {"priority": 0, "default": 1, "flex": 2}
_tier: ContextVar[Tier] = ContextVar("outcrop_tier", default="default")
_account: ContextVar[str] = ContextVar("outcrop_account", default="")

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
        self._seconds = FIRST_GUESS_SECONDS
        self.running = 0
        self.turned_away = 0

    @property
    def waiting(self) -> int:
        return sum(one.waiting for one in self._classes)

    async def enter(self) -> Admitted:
        """Waits for room. EngineBusy at once where the queue is full, or later where somebody takes the place in it."""
        if self._room is None or (self.running < self._room and not self.waiting):
            self.running += 1
            return Admitted(self, self._clock())
        rank, account = _RANKS[_tier.get()], _account.get()
        if self.waiting >= self._bound:
            self._make_way(rank, account)
        own = self._classes[rank]
        waiter = own.add(account)
        try:
            await waiter
        except asyncio.CancelledError:
            if own.remove(account, waiter) is False and not waiter.cancelled() and waiter.exception() is None:
                # It was let in and cancelled in the same turn of the loop.
                self._release(None)
            raise
        return Admitted(self, self._clock())

    def _make_way(self, rank: int, account: str) -> None:
        """Turns somebody away who has less of a claim, or raises EngineBusy where nobody has."""
        self.turned_away += 1
        busy = self._busy()
        for one in reversed(self._classes[rank:]):
            most, number = one.greediest()
            fair = one is not self._classes[rank] or number > self._classes[rank].of(account) + 1
            if number and fair:
                one.last_of(most).set_exception(busy)
                return
        raise busy

    def _busy(self) -> EngineBusy:
        waiting = self.waiting
        seconds = self._seconds * (waiting + 1) / (self._room or 1)
        return EngineBusy(f"{self._name} has {waiting} requests waiting.", min(seconds, LONGEST_RETRY_SECONDS))

    def _release(self, seconds: float | None) -> None:
        self.running -= 1
        if seconds is not None:
            self._seconds += 0.1 * (seconds - self._seconds)
        for one in self._classes:
            while one.waiting and self._room is not None and self.running < self._room:
                self.running += 1
                one.next().set_result(None)


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


_Waiter: TypeAlias = "asyncio.Future[None]"


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
