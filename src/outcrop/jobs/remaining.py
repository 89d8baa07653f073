"""How long a job will still take, as far as that can be said honestly."""

from __future__ import annotations

from collections import deque

# The pace of the last minute counts: the first steps of a job are seldom like the rest.
WINDOW_SECONDS = 60.0
# Nothing is said before so much has been seen.
SEEN_SECONDS = 2.0


class Remaining:
    """Told what is done from time to time, it knows what is left, or that it does not know.

    What stands still takes longer and longer: the pace is that up to now, not up to the last step.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float]] = deque()

    def see(self, now: float, done: float) -> None:
        """Seconds on a monotonic clock, and how much is done. Less than before: it was thrown back, and what was seen is void."""
        if self._seen and done < self._seen[-1][1]:
            self._seen.clear()
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] <= now - WINDOW_SECONDS:
            self._seen.popleft()

    def seconds(self, now: float, total: float | None) -> float | None:
        """None while nothing can be said: no total, too little seen, or no step within the window."""
        if total is None or not self._seen:
            return None
        (began, first), (_, done) = self._seen[0], self._seen[-1]
        if done >= total:
            return 0.0
        if done <= first or now - began < SEEN_SECONDS:
            return None
        return (total - done) * (now - began) / (done - first)


def in_words(seconds: float | None) -> str:
    """No finer than it is known: five seconds up to a minute, minutes up to an hour."""
    if seconds is None:
        return "time left not known"
    if seconds <= 55:
        return f"about {max(5, 5 * round(seconds / 5))} s left"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"about {minutes} min left"
    if minutes < 48 * 60:
        return f"about {minutes // 60} h {minutes % 60:02} min left"
    return f"about {round(minutes / 60 / 24)} days left"
