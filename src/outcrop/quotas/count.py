"""One quota of one account and model, as one server has it: what it may spend before it must ask the others."""

from __future__ import annotations

from outcrop.quotas.ledger import SLICES, TOLERANCE, Asked, Key

# Of a quota, what a server takes ahead: a request in so many asks the database, and a quota is exact to that part of it.
AHEAD = 400
# For how long a refusal stands before the database is asked again, and what is taken ahead is kept; milliseconds.
REFUSED_MS, KEPT_MS = 100, 500


class Count:
    """`seconds` is the length of its window. Everything happens on the server's loop."""

    def __init__(self, key: Key, limit: float, seconds: float, words: str, *, tokens: bool, weight: float) -> None:
        self.key = key
        self.limit = limit
        self.words = words
        self.tokens = tokens
        self.weight = weight
        self.window = int(seconds * 1000)
        # Reservations that are not settled yet.
        self.open = 0
        self._ahead = 0.0
        self._until = 0
        self._taken_at = 0
        self._corrections: dict[int, float] = {}
        self._refused_until = 0
        self._room = 0.0
        self._free_at = 0

    def take(self, amount: float) -> int | None:
        """Of what was taken ahead: the `until` that it counts under, or None if that is too little."""
        if amount > self._ahead + TOLERANCE:
            return None
        self._ahead -= amount
        return self._until

    def correct(self, until: int, change: float) -> None:
        """What was taken under `until` was more, or less. It is told at the next exchange."""
        self._corrections[until] = self._corrections.get(until, 0.0) + change
        self._refused_until = 0

    def refused(self, amount: float, now: int) -> int | None:
        """How long to wait, if it is known without asking that there is no room."""
        if now >= self._refused_until or amount <= self._room + TOLERANCE:
            return None
        return max(1, self._free_at - now)

    def refuse(self, room: float, wait: int, now: int) -> None:
        """Remember what the database said."""
        self._room, self._free_at = room, now + wait
        self._refused_until = now + min(wait, REFUSED_MS)

    def asked(self, amounts: list[float], now: int) -> Asked:
        """What to tell and to ask, all corrections and what is left of what was taken ahead included."""
        self._give_back()
        corrections, self._corrections = self._corrections, {}
        step = self.window // SLICES
        until = (now // step + 1) * step + self.window
        return Asked(self.key, self.limit, until, amounts, self.limit / AHEAD, corrections)

    def answered(self, asked: Asked, extra: float, now: int) -> None:
        # Whoever asked twice at once has two: the older goes back.
        self._give_back()
        self._ahead, self._until, self._taken_at = extra, asked.until, now

    def failed(self, asked: Asked) -> None:
        """The exchange did not happen."""
        for until, change in (asked.corrections or {}).items():
            self._corrections[until] = self._corrections.get(until, 0.0) + change

    def is_due(self, now: int, *, closing: bool) -> bool:
        """Whether it has something to tell though nobody asks."""
        return bool(self._corrections) or (self._ahead > 0 and (closing or now - self._taken_at >= KEPT_MS))

    def is_idle(self) -> bool:
        return not (self.open or self._ahead or self._corrections)

    def _give_back(self) -> None:
        if self._ahead:
            self._corrections[self._until] = self._corrections.get(self._until, 0.0) - self._ahead
            self._ahead = 0.0
