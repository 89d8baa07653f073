"""A sliding window: how much was used in the last so many seconds, to within a six-hundredth of it."""

from __future__ import annotations

import math
from collections import deque

SLICES = 600


class Window:
    """Uses in slices of time, each forgotten as a whole when its last moment is `seconds` ago; so it never forgets early."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._slice = seconds / SLICES
        self._uses: deque[list[float]] = deque()  # [number of the slice, amount]
        self._total = 0.0

    def total(self, now: float) -> float:
        self._forget(now)
        return self._total

    def add(self, amount: float, now: float) -> int:
        """The slice that it was added to, for `correct`."""
        self._forget(now)
        number = math.floor(now / self._slice)
        if self._uses and self._uses[-1][0] == number:
            self._uses[-1][1] += amount
        else:
            self._uses.append([number, amount])
        self._total += amount
        return number

    def correct(self, number: int, change: float) -> None:
        """Changes what was added to a slice; nothing if that is forgotten by now."""
        for use in reversed(self._uses):
            if use[0] <= number:
                if use[0] == number:
                    use[1] += change
                    self._total += change
                return

    def wait(self, amount: float, limit: float, now: float) -> float:
        """Seconds until `amount` more would be within `limit`; the whole window if it never is."""
        self._forget(now)
        free = limit - self._total
        for number, used in self._uses:
            if free >= amount:
                break
            free += used
            until = (number + 1) * self._slice + self._seconds
            if free >= amount:
                return max(0.0, until - now)
        return 0.0 if free >= amount else self._seconds

    def _forget(self, now: float) -> None:
        oldest = (now - self._seconds) / self._slice
        while self._uses and self._uses[0][0] + 1 <= oldest:
            self._total -= self._uses.popleft()[1]
        if not self._uses:
            self._total = 0.0
