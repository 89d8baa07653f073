"""What a run leaves: a record for each answer, and what they come to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from outcrop.evaluation.item import EvaluationError
from outcrop.evaluation.statistics import Value, estimate, pass_at

RECORDS, RUNS = "records.jsonl", "runs.json"
KS = (1, 10, 100)


class Record(msgspec.Struct, frozen=True):
    """One answer to one item. `scores` are 0 where it failed; `cached`: it was not asked again."""

    model: str
    suite: str
    item: str
    group: str
    cluster: str
    sample: int
    prompt: str
    answer: str
    extracted: str | None
    reference: str
    scores: dict[str, float]
    weights: dict[str, float] = {}
    detail: str = ""
    finish: str = ""
    failure: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float = 0.0
    cached: bool = False


class Run(msgspec.Struct, frozen=True):
    """How one model was asked one suite, so that it can be asked the same way again. `seconds` is the whole run's clock.

    `engine` says what answered for the model, and with which file or at which address. `groups`: only these were asked.
    """

    model: str
    suite: str
    title: str
    field: str
    protocol: str
    published: str
    metrics: tuple[str, ...]
    items: int
    samples: int
    temperature: float
    top_p: float | None
    seed: int
    max_tokens: int | None
    shots: int
    limit: int | None
    at: str
    version: str
    seconds: float
    chance: float | None = None
    sandbox: dict[str, str] = {}
    engine: str = ""
    groups: tuple[str, ...] = ()


class Score(msgspec.Struct, frozen=True):
    """A metric of a model on a suite, or on one `group` of it. `unread`: answers in which none was found."""

    model: str
    suite: str
    metric: str
    group: str | None
    mean: float
    error: float
    low: float
    high: float
    n: int
    clusters: int
    failures: int
    unread: int


class Cost(msgspec.Struct, frozen=True):
    """`seconds` are the sum over answers, from question to last token; cached ones count as they did when they were asked."""

    model: str
    suite: str
    answers: int
    cached: int
    failures: int
    input_tokens: int
    output_tokens: int
    seconds: float


class Results(msgspec.Struct):
    """Of one or several runs."""

    runs: list[Run]
    records: list[Record]

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / RECORDS).open("wb") as lines:
            for record in self.records:
                lines.write(msgspec.json.encode(record) + b"\n")
        (folder / RUNS).write_bytes(msgspec.json.format(msgspec.json.encode(self.runs), indent=1) + b"\n")

    @classmethod
    def read(cls, folder: Path) -> Results:
        """EvaluationError for a folder that no evaluation wrote."""
        try:
            runs = msgspec.json.decode((folder / RUNS).read_bytes(), type=list[Run])
            lines = (folder / RECORDS).read_bytes().split(b"\n")
            records = [msgspec.json.decode(line, type=Record) for line in lines if line]
        except (OSError, msgspec.MsgspecError) as problem:
            raise EvaluationError(f"{folder} holds no results of an evaluation: {problem}") from None
        return cls(runs, records)

    def models(self) -> list[str]:
        return list(dict.fromkeys(run.model for run in self.runs))

    def suites(self) -> list[str]:
        return list(dict.fromkeys(run.suite for run in self.runs))

    def run(self, model: str, suite: str) -> Run | None:
        """The last one."""
        return next((run for run in reversed(self.runs) if (run.model, run.suite) == (model, suite)), None)

    def of(self, model: str, suite: str, group: str | None = None) -> list[Record]:
        return [
            record
            for record in self.records
            if (record.model, record.suite) == (model, suite) and group in (None, record.group)
        ]

    def groups(self, suite: str) -> list[str]:
        found = dict.fromkeys(record.group for record in self.records if record.suite == suite)
        return [] if len(found) < 2 else list(found)


def metrics(run: Run) -> list[str]:
    """As they are reported: `pass` becomes pass@k, for each usual k that there are samples for, and for all of them."""
    ks = [f"pass@{k}" for k in sorted({*(k for k in KS if k < run.samples), run.samples})]
    return [name for metric in run.metrics for name in (ks if metric == "pass" else [metric])]


def values(records: Iterable[Record], metric: str) -> list[Value]:
    """One for each item: the mean of its samples, or its pass@k."""
    by_item: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_item[record.item].append(record)
    return [_value(samples, metric) for samples in by_item.values()]


def _value(samples: Sequence[Record], metric: str) -> Value:
    first = samples[0]
    if metric.startswith("pass@"):
        correct = sum(record.scores.get("pass", 0) == 1 for record in samples)
        value = pass_at(int(metric.removeprefix("pass@")), len(samples), correct)
    else:
        value = sum(record.scores.get(metric, 0.0) for record in samples) / len(samples)
    return Value(first.item, first.cluster, value, first.weights.get(metric, 1.0))


def score(results: Results, run: Run, metric: str, group: str | None = None) -> Score | None:
    records = results.of(run.model, run.suite, group)
    found = estimate(values(records, metric))
    if found is None:
        return None
    return Score(
        run.model,
        run.suite,
        metric,
        group,
        found.mean,
        found.error,
        found.low,
        found.high,
        found.n,
        found.clusters,
        sum(record.failure is not None for record in records),
        sum(record.failure is None and record.extracted is None for record in records),
    )


def scores(results: Results, *, groups: bool = False) -> list[Score]:
    """Of every model on every suite, in the order of the runs; with `groups`, of each group after the whole."""
    found = []
    for suite in results.suites():
        for model in results.models():
            if (run := results.run(model, suite)) is None:
                continue
            wanted: list[str | None] = [None, *(results.groups(suite) if groups else [])]
            found += [score(results, run, metric, group) for group in wanted for metric in metrics(run)]
    return [one for one in found if one is not None]


def costs(results: Results) -> list[Cost]:
    return [
        Cost(
            model,
            suite,
            len(records),
            sum(record.cached for record in records),
            sum(record.failure is not None for record in records),
            sum(record.input_tokens for record in records),
            sum(record.output_tokens for record in records),
            sum(record.seconds for record in records),
        )
        for suite in results.suites()
        for model in results.models()
        if (records := results.of(model, suite))
    ]
