"""Numbers with their uncertainty: means over clusters, intervals, pairs of models, pass@k.

Standard errors are those of Miller, "Adding Error Bars to Evals" (2024): questions are a sample of those that might have
been asked, and questions of one cluster are not independent.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

Z95 = NormalDist().inv_cdf(0.975)
# Of the randomisation test: enough for a p-value of 0.05 to be known to 0.002.
FLIPS = 10_000


@dataclass(frozen=True, slots=True)
class Value:
    """What one item scored, 0 to 1 (the mean of its samples)."""

    item: str
    cluster: str
    value: float
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its standard error and 95 % interval, of `n` items in `clusters`."""

    mean: float
    error: float
    low: float
    high: float
    n: int
    clusters: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Of two models on the same `n` items: `mean` > 0 means that the second is better. `p` is two-sided."""

    mean: float
    error: float
    low: float
    high: float
    p: float
    n: int


def estimate(values: Sequence[Value]) -> Estimate | None:
    """The weighted mean; None of nothing.

    The interval is Wilson's, so that a model without a mistake has not one of width nothing. Where items come in clusters
    or are partly right, it is that of so many independent ones as have the same standard error.
    """
    if not values:
        return None
    mean = sum(v.weight * v.value for v in values) / sum(v.weight for v in values)
    clusters = len({v.cluster for v in values})
    # A single cluster says nothing of others: the largest error there can be.
    error = _error(values, mean) if clusters > 1 else 0.5
    simple = clusters == len(values) and all(v.weight == 1 and v.value in (0, 1) for v in values)
    variance = mean * (1 - mean)
    as_many = variance / error**2 if error > 0 and variance > 0 and not simple else float(clusters)
    low, high = wilson(mean, as_many)
    return Estimate(mean, error, low, high, len(values), clusters)


def _sums(values: Iterable[Value], mean: float = 0.0) -> dict[str, float]:
    """By cluster: how far its items are from the mean."""
    sums: dict[str, float] = defaultdict(float)
    for v in values:
        sums[v.cluster] += v.weight * (v.value - mean)
    return sums


def _error(values: Sequence[Value], mean: float) -> float:
    """Clustered, with the correction for few clusters, of which there are two or more."""
    sums = _sums(values, mean)
    total = sum(v.weight for v in values)
    return math.sqrt(sum(one * one for one in sums.values()) * len(sums) / (len(sums) - 1)) / total


def wilson(share: float, n: float) -> tuple[float, float]:
    """The 95 % interval of a share of n."""
    z2 = Z95 * Z95
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))


def compare(first: Sequence[Value], second: Sequence[Value], seed: int = 0) -> Difference | None:
    """Paired, on the items that both answered; None if there are none.

    The p-value is that of a randomisation test: under the null hypothesis the two models' scores of a cluster might as well
    be exchanged. Where all differences are of one size it is computed exactly (McNemar's exact test), else from random
    flips. The interval is Agresti and Min's (2005), with clusters for pairs.
    """
    other = {v.item: v for v in second}
    pairs = [Value(v.item, v.cluster, other[v.item].value - v.value, v.weight) for v in first if v.item in other]
    if not pairs:
        return None
    mean = sum(v.weight * v.value for v in pairs) / sum(v.weight for v in pairs)
    low, high = _interval(pairs)
    error = _error(pairs, mean) if len(_sums(pairs)) > 1 else 1.0
    return Difference(mean, error, low, high, _p(list(_sums(pairs).values()), seed), len(pairs))


def _interval(pairs: Sequence[Value]) -> tuple[float, float]:
    """As if there were two clusters more: half of each says +1, and half -1. So two models that answer alike on ten items
    are not known to be equal.
    """
    sums = _sums(pairs)
    weight = sum(v.weight for v in pairs)
    each = weight / len(sums)
    total = weight + 2 * each
    mean = sum(sums.values()) / total
    squares = sum(one * one for one in _sums(pairs, mean).values()) + each**2 * (1 + 2 * mean**2)
    half = Z95 * math.sqrt(squares) / total
    return max(-1.0, mean - half), min(1.0, mean + half)


def _p(sums: Sequence[float], seed: int) -> float:
    """Of the sums of clusters. Sizes are rounded, so that those that are equal but for arithmetic are equal."""
    moved = [size for one in sums if (size := round(one, 9)) != 0]
    sizes = Counter(map(abs, moved))
    if len(sizes) < 2:
        return sign_test(sum(one > 0 for one in moved), len(moved))
    observed = abs(sum(moved)) - 1e-9
    chance = random.Random(seed)  # noqa: S311 - a test that gives the same p-value each time
    extreme = sum(abs(_flipped(sizes, chance)) >= observed for _ in range(FLIPS))
    return (extreme + 1) / (FLIPS + 1)


def _flipped(sizes: Counter[float], chance: random.Random) -> float:
    """The sum, with the sign of each drawn anew."""
    return float(sum(size * (2 * chance.getrandbits(count).bit_count() - count) for size, count in sizes.items()))


def sign_test(better: int, n: int) -> float:
    """Two-sided, exact: how likely a fair coin is as far from even."""
    tail = min(better, n - better)
    return min(1.0, 2 * sum(math.comb(n, k) for k in range(tail + 1)) / (1 << n))


def pass_at(k: int, n: int, correct: int) -> float:
    """The unbiased estimator of Chen et al. (2021): 1 - C(n-c, k) / C(n, k). ValueError for more than were tried."""
    if not 0 < k <= n or not 0 <= correct <= n:
        raise ValueError(f"pass@{k} of {n} samples, {correct} of them right, is not defined")
    return 1.0 - math.comb(n - correct, k) / math.comb(n, k)
