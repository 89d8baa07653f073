"""The engines of a choice: in which order they are tried, and which are left alone for a while."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from outcrop.engines.engine import Capabilities, Engine, EngineBusy, EngineError, is_callers_fault

# For so long an engine that failed is tried after all others.
BREAK_SECONDS = 15.0


@dataclass(slots=True)
class Candidate:
    """`open` gives the engine and `able` what it can do; both raise EngineError where it cannot be served at all.

    `overuse` is what `Admission.overuse` says there.
    """

    name: str
    open: Callable[[], Engine]
    able: Callable[[], Capabilities]
    weight: float = 1.0
    fallback: bool = False
    overuse: Callable[[], float] = lambda: 0.0
    broken_until: float = field(default=0.0, init=False)


class Candidates:
    """`pick` is a random number from 0 up to 1, `clock` seconds that only grow."""

    def __init__(
        self, candidates: Sequence[Candidate], *, pick: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        self._all = tuple(candidates)
        self._pick = pick
        self._clock = clock

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self._all)

    def order(self, first: str | None = None) -> list[Candidate]:
        """By weight, then the fallbacks; those that failed lately come last. `first` is the engine to stay with.

        Under a reservation, where its places are free, or least overrun.
        """
        left = [candidate for candidate in self._all if not candidate.fallback]
        order = []
        while left:
            order.append(left.pop(self._drawn([candidate.weight for candidate in left])))
        order += [candidate for candidate in self._all if candidate.fallback]
        now = self._clock()
        return sorted(order, key=lambda one: (one.broken_until > now, one.overuse(), one.name != first))

    def _drawn(self, weights: Sequence[float]) -> int:
        rest = self._pick() * sum(weights)
        for place, weight in enumerate(weights):
            rest -= weight
            if rest < 0:
                return place
        return len(weights) - 1

    def trust(self, candidate: Candidate) -> None:
        """It answered."""
        candidate.broken_until = 0.0

    def distrust(self, candidate: Candidate, problem: EngineError) -> None:
        """It failed, unless the fault is the caller's. A busy one says itself for how long to leave it alone."""
        if not is_callers_fault(problem):
            pause = problem.retry_after if isinstance(problem, EngineBusy) else BREAK_SECONDS
            candidate.broken_until = self._clock() + pause
