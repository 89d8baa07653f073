"""Stop sequences found in a stream of text, where a server does not say which one it met, or whether it met one."""

from __future__ import annotations

from collections.abc import Sequence


class StopFinder:
    """Feed it text; it gives back what is sure not to begin a stop sequence, and remembers the one it found."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.found: str | None = None

    def feed(self, text: str) -> str:
        if not self._stops:
            return text
        held = self._held + text
        met = [(place, stop) for stop in self._stops if (place := held.find(stop)) >= 0]
        if met:
            place, self.found = min(met, key=lambda pair: pair[0])
            self._held = ""
            return held[:place]
        keep = max(_overlap(held, stop) for stop in self._stops)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep]

    def rest(self) -> str:
        """What was held back, at the end of the answer."""
        rest, self._held = self._held, ""
        return rest


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:length]):
            return length
    return 0
