"""Results side by side: several folders as one, and each pair of models on the items that both answered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import msgspec

from outcrop.evaluation.results import Record, Results, Run, metrics, values
from outcrop.evaluation.statistics import compare


class Comparison(msgspec.Struct, frozen=True):
    """`mean` > 0: `second` is better than `first` on the `n` items that both were asked. `p` is two-sided."""

    suite: str
    metric: str
    first: str
    second: str
    mean: float
    error: float
    low: float
    high: float
    p: float
    n: int


def comparisons(results: Results) -> list[Comparison]:
    """Each pair of models, on each suite and metric that both have."""
    return [
        found
        for suite in results.suites()
        for first, second in combinations(results.models(), 2)
        for found in _compared(results, suite, first, second)
    ]


def _compared(results: Results, suite: str, first: str, second: str) -> list[Comparison]:
    one, other = results.run(first, suite), results.run(second, suite)
    if one is None or other is None:
        return []
    shared = [metric for metric in metrics(one) if metric in metrics(other)]
    records = results.of(first, suite), results.of(second, suite)
    found = []
    for metric in shared:
        if (difference := compare(values(records[0], metric), values(records[1], metric))) is not None:
            fields = (difference.mean, difference.error, difference.low, difference.high, difference.p, difference.n)
            found.append(Comparison(suite, metric, first, second, *fields))
    return found


def merged(several: Mapping[str, Results]) -> Results:
    """One of several folders; a model that two of them measured on one suite is told apart by the folder's name."""
    seen: dict[tuple[str, str], int] = defaultdict(int)
    for results in several.values():
        for pair in {(run.model, run.suite) for run in results.runs}:
            seen[pair] += 1
    twice = {model for (model, _), count in seen.items() if count > 1}
    runs: list[Run] = []
    records: list[Record] = []
    for name, results in several.items():
        rename = _renaming(twice, name)
        runs += [rename(run) for run in results.runs]
        records += [rename(record) for record in results.records]
    return Results(runs, records)


def _renaming(twice: set[str], folder: str) -> Callable[[Any], Any]:
    def rename(one: Any) -> Any:
        return msgspec.structs.replace(one, model=f"{one.model} ({folder})") if one.model in twice else one

    return rename


def mixed(results: Results) -> list[str]:
    """Sentences about suites whose models were not asked in the same way, and so cannot be compared as they stand."""
    found = []
    for suite in results.suites():
        ways = {
            (run.protocol, run.temperature, run.top_p, run.samples, run.seed, run.limit, run.max_tokens, run.groups)
            for run in results.runs
            if run.suite == suite
        }
        if len(ways) > 1:
            found.append(f"The models were not asked {suite} in the same way (protocol, sampling or choice of items).")
    return found
