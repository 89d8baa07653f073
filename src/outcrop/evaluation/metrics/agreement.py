"""How far two who judged the same things agree, beyond what chance would make them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of `n` things that both judged. `kappa` is Cohen's, `weighted` the same with the square of the distance between
    scores as weight. Both are None where either said the same of everything, since nothing is beyond chance then.
    """

    n: int
    share: float
    kappa: float | None
    weighted: float | None


def agreement(first: Sequence[float], second: Sequence[float]) -> Agreement | None:
    """Of scores, in the same order. None of nothing."""
    if not first:
        return None
    same = sum(one == other for one, other in zip(first, second, strict=True))
    return Agreement(len(first), same / len(first), kappa(first, second), weighted_kappa(first, second))


def kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Cohen's: 1 is agreement, 0 what chance gives."""
    n = len(first)
    same = sum(one == other for one, other in zip(first, second, strict=True)) / n
    counts, others = Counter(first), Counter(second)
    chance = sum(counts[label] * others[label] for label in counts) / (n * n)
    return None if chance == 1 else (same - chance) / (1 - chance)


def weighted_kappa(first: Sequence[float], second: Sequence[float]) -> float | None:
    """With quadratic weights, for scores that have an order."""
    n = len(first)
    seen = sum((one - other) ** 2 for one, other in zip(first, second, strict=True)) / n
    counts, others = Counter(first), Counter(second)
    chance = sum(counts[a] * others[b] * (a - b) ** 2 for a in counts for b in others) / (n * n)
    return None if chance == 0 else 1 - seen / chance
