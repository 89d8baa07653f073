"""Results as tables, the same for Markdown and for the page. Cells are plain text, and whoever writes them escapes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from outcrop.evaluation.comparing import Comparison, comparisons
from outcrop.evaluation.report.published import NOT_MEASURED, beside
from outcrop.evaluation.results import Results, Run, Score, costs, metrics, score, scores

NONE = "–"


@dataclass(frozen=True, slots=True)
class Table:
    """The first column names its row; `numbers` are the columns of figures. `aside`: rows that are not ours."""

    key: str
    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: tuple[str, ...] = ()
    numbers: frozenset[int] = field(default_factory=frozenset)
    aside: frozenset[int] = field(default_factory=frozenset)


def percent(value: float) -> str:
    return f"{100 * value:.1f}"


def interval(score: Score) -> str:
    return f"{percent(score.mean)} [{percent(score.low)}, {percent(score.high)}]"


def title_of(results: Results, suite: str) -> str:
    return next(run.title for run in results.runs if run.suite == suite)


def first_metric(results: Results, suite: str) -> str:
    return metrics(next(run for run in results.runs if run.suite == suite))[0]


def main_scores(results: Results) -> dict[tuple[str, str], Score]:
    """(model, suite) → its first metric."""
    return {(one.model, one.suite): one for one in scores(results) if one.metric == first_metric(results, one.suite)}


def overview(results: Results) -> Table:
    """A row for each model, a column for each suite; below them what others published."""
    found, suites = main_scores(results), results.suites()
    rows: list[tuple[str, ...]] = []
    for model in results.models():
        cells = (interval(found[model, suite]) if (model, suite) in found else NONE for suite in suites)
        rows.append((model, *cells))
    elsewhere: dict[str, dict[str, float]] = defaultdict(dict)
    for one in beside(results):
        elsewhere[one.model][one.suite] = one.score
    measured = len(rows)
    for model, known in elsewhere.items():
        cells = (f"{known[suite]:.1f}" if suite in known else NONE for suite in suites)
        rows.append((f"{model} ({NOT_MEASURED})", *cells))
    return Table(
        "scores",
        "Scores",
        ("Model", *(f"{title_of(results, suite)}, {_words(first_metric(results, suite))}" for suite in suites)),
        rows,
        ("Per cent, with the 95 % interval in brackets. An answer that failed counts as wrong.",),
        frozenset(range(1, len(suites) + 1)),
        frozenset(range(measured, len(rows))),
    )


def by_group(results: Results, suite: str) -> Table | None:
    """A row for each subject or language, a column for each model; None for a suite that has none."""
    groups, metric = results.groups(suite), first_metric(results, suite)
    models = [model for model in results.models() if results.run(model, suite) is not None]
    if not groups:
        return None
    found = {(one.group, one.model): one for one in group_scores(results, suite)}
    rows = [
        (group, *(interval(found[group, model]) if (group, model) in found else NONE for model in models))
        for group in groups
    ]
    numbers = frozenset(range(1, len(models) + 1))
    title = f"{title_of(results, suite)} by group"
    return Table(f"groups-{suite}", title, ("Group", *models), rows, (f"{_words(metric)}, per cent.",), numbers)


def group_scores(results: Results, suite: str) -> list[Score]:
    """By the first metric, of each model on each subject or language."""
    metric = first_metric(results, suite)
    runs = [run for model in results.models() if (run := results.run(model, suite)) is not None]
    found = [score(results, run, metric, group) for run in runs for group in results.groups(suite)]
    return [one for one in found if one is not None]


def all_metrics(results: Results) -> Table:
    rows = [
        (
            title_of(results, one.suite), _words(one.metric), one.model, percent(one.mean), percent(one.error),
            percent(one.low), percent(one.high), str(one.n), str(one.clusters), str(one.failures), str(one.unread),
        )
        for one in scores(results)
    ]  # fmt: skip
    columns = (
        "Suite", "Metric", "Model", "Mean", "Standard error", "Low", "High", "Items", "Clusters",
        "Failures", "No answer found",
    )  # fmt: skip
    return Table("metrics", "All metrics", columns, rows, (), frozenset(range(3, 11)))


def pairs(results: Results) -> Table | None:
    rows = [
        (
            title_of(results, one.suite), _words(one.metric), one.second, one.first,
            f"{100 * one.mean:+.1f} [{100 * one.low:+.1f}, {100 * one.high:+.1f}]", _p(one.p), str(one.n), _verdict(one),
        )
        for one in comparisons(results)
    ]  # fmt: skip
    if not rows:
        return None
    notes = (
        "Points by which the first model is better than the second on the items that both answered, with the 95 % interval. "
        "p is of a paired randomisation test, two-sided, and not corrected for the number of comparisons.",
    )
    columns = ("Suite", "Metric", "Model", "Compared with", "Difference", "p", "Items", "Verdict")
    return Table("pairs", "Pairs of models", columns, rows, notes, frozenset({4, 5, 6}))


def cost(results: Results) -> Table:
    rows = [
        (
            title_of(results, one.suite), one.model, f"{one.answers:,}", f"{one.cached:,}", f"{one.failures:,}",
            f"{one.input_tokens:,}", f"{one.output_tokens:,}", _rate(one.seconds, one.answers),
            _rate(one.output_tokens, one.seconds),
        )
        for one in costs(results)
    ]  # fmt: skip
    columns = (
        "Suite", "Model", "Answers", "Cached", "Failures", "Input tokens", "Output tokens", "Seconds an answer",
        "Output tokens a second",
    )  # fmt: skip
    notes = (
        "Seconds are from question to last token, while others were answered; cached answers count as first asked.",
    )
    return Table("cost", "Speed and cost", columns, rows, notes, frozenset(range(2, 9)))


def settings(results: Results) -> Table:
    rows = [
        (
            run.title, run.model, str(run.items), str(run.samples), f"{run.temperature:g}", _or_none(run.top_p),
            str(run.seed), _or_none(run.max_tokens), _or_none(run.shots), run.at[:16].replace("T", " "), run.version,
            run.engine or NONE,
        )
        for run in results.runs
    ]  # fmt: skip
    columns = (
        "Suite", "Model", "Items", "Samples", "Temperature", "Top p", "Seed", "Max tokens", "Shots", "Asked at (UTC)", "Outcrop",
        "Answered by",
    )  # fmt: skip
    return Table("settings", "How the models were asked", columns, rows, protocols(results), frozenset(range(2, 9)))


def protocols(results: Results) -> tuple[str, ...]:
    """A sentence or two for each suite and each way in which it was asked."""
    return tuple(dict.fromkeys(_protocol(run) for run in results.runs))


def _protocol(run: Run) -> str:
    walls = "; ".join(f"{name}: {wall}" for name, wall in run.sandbox.items())
    return f"{run.title}: {run.protocol}. {run.published}." + (f" Programs were walled by {walls}." if walls else "")


def failures(results: Results) -> Table | None:
    """What went wrong, and how often; only the most frequent ones."""
    counts: dict[tuple[str, str, str], int] = defaultdict(int)
    for record in results.records:
        if record.failure is not None:
            counts[record.suite, record.model, record.failure[:300]] += 1
    most = sorted(counts.items(), key=lambda one: -one[1])[:20]
    rows = [(title_of(results, suite), model, why, str(count)) for (suite, model, why), count in most]
    columns = ("Suite", "Model", "Failure", "Answers")
    return Table("failures", "Failures", columns, rows, (), frozenset({3})) if rows else None


def elsewhere(results: Results) -> Table | None:
    rows = [
        (one.model, title_of(results, one.suite), f"{one.score:.1f}", one.asked, one.source) for one in beside(results)
    ]
    notes = ("Per cent, from the sources named. The questions are the same; the way of asking may not be.",)
    columns = ("Model", "Suite", "Score", "Asked", "Source")
    return (
        Table("published", "Published elsewhere, not measured here", columns, rows, notes, frozenset({2}))
        if rows
        else None
    )


def all_tables(results: Results) -> list[Table]:
    """In the order of a report."""
    groups: Iterable[Table | None] = (by_group(results, suite) for suite in results.suites())
    found: Sequence[Table | None] = [
        overview(results), all_metrics(results), *groups, pairs(results), cost(results), failures(results),
        settings(results), elsewhere(results),
    ]  # fmt: skip
    return [table for table in found if table is not None]


def _words(metric: str) -> str:
    return metric.replace("_", " ")


def _verdict(one: Comparison) -> str:
    """What may be said of the first model."""
    if one.p >= 0.05:
        return "no difference shown"
    return "better" if one.mean > 0 else "worse"


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _rate(amount: float, per: float) -> str:
    return f"{amount / per:,.2f}" if per > 0 else NONE


def _or_none(value: float | None) -> str:
    return NONE if value is None else f"{value:g}"
