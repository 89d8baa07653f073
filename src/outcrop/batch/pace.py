"""How many records of a job are asked at once: enough to keep the engine busy, fewer where it turns some away."""

from __future__ import annotations

import time
from collections.abc import Callable

# Where the engine knows its room: each place taken, and one waiting behind it, so that no place is ever empty.
EACH_PLACE = 2
# Where it does not, so many at first.
AT_FIRST = 8
# One crowd that is turned away at once is one reason to ask less, not many.
SETTLING_SECONDS = 1.0


class Pace:
    """Grows by one for each round of answers, halves where requests are turned away."""

    def __init__(self, room: int | None, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most = float(most if room is None else max(EACH_PLACE * room, 2))
        self._limit = min(self._most, AT_FIRST) if room is None else self._most
        self._clock = clock
        self._settled_at = float("-inf")

    @property
    def limit(self) -> int:
        return int(self._limit)

    def answered(self) -> None:
        self._limit = min(self._most, self._limit + 1 / self._limit)

    def throttled(self) -> None:
        now = self._clock()
        if now >= self._settled_at:
            self._limit = max(1.0, self._limit / 2)
            self._settled_at = now + SETTLING_SECONDS
