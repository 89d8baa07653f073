"""Results in words and tables, for a terminal and for `summary.md`."""

from __future__ import annotations

from collections.abc import Sequence

from outcrop.evaluation.comparing import Comparison, comparisons, mixed
from outcrop.evaluation.results import Cost, Results, Run, Score, costs, scores

# A table: its head, and its rows.
Table = tuple[tuple[str, ...], list[tuple[str, ...]]]


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def points(difference: float) -> str:
    """Percentage points, with their sign."""
    return f"{100 * difference:+.1f}"


def p_value(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def score_table(found: Sequence[Score]) -> Table:
    head = ("model", "suite", "metric", "score", "± s.e.", "95 % interval", "items", "failed", "no answer found")
    return head, [
        (
            one.model,
            one.suite if one.group is None else f"{one.suite}: {one.group}",
            one.metric,
            percent(one.mean),
            f"{100 * one.error:.1f}",
            f"{100 * one.low:.1f} to {100 * one.high:.1f}",
            str(one.n) if one.clusters == one.n else f"{one.n} in {one.clusters}",
            str(one.failures),
            str(one.unread),
        )
        for one in found
    ]


def cost_table(found: Sequence[Cost]) -> Table:
    head = (
        "model",
        "suite",
        "answers",
        "of them known before",
        "failed",
        "tokens in",
        "tokens out",
        "seconds of answers",
    )
    return head, [
        (
            one.model,
            one.suite,
            str(one.answers),
            str(one.cached),
            str(one.failures),
            f"{one.input_tokens:,}",
            f"{one.output_tokens:,}",
            f"{one.seconds:,.1f}",
        )
        for one in found
    ]


def comparison_table(found: Sequence[Comparison]) -> Table:
    head = ("suite", "metric", "model", "against", "points", "± s.e.", "95 % interval", "p", "items", "")
    return head, [
        (
            one.suite,
            one.metric,
            one.second,
            one.first,
            points(one.mean),
            f"{100 * one.error:.1f}",
            f"{points(one.low)} to {points(one.high)}",
            p_value(one.p),
            str(one.n),
            verdict(one),
        )
        for one in found
    ]


def verdict(one: Comparison) -> str:
    """What may be said of `second`."""
    if one.p >= 0.05:
        return "no difference shown"
    return "better" if one.mean > 0 else "worse"


def markdown(results: Results) -> str:
    parts = ["# Evaluation", "", *(f"> {sentence}" for sentence in mixed(results)), "## Scores", ""]
    parts += [*_rows(score_table(scores(results))), ""]
    if len(results.models()) > 1:
        parts += ["## Differences, on the same items", "", *_rows(comparison_table(comparisons(results))), ""]
    grouped = [one for one in scores(results, groups=True) if one.group is not None]
    if grouped:
        parts += ["## By subject or language", "", *_rows(score_table(grouped)), ""]
    parts += ["## What it cost", "", *_rows(cost_table(costs(results))), "", "## How it was asked", ""]
    parts += [f"* {sentence}" for sentence in map(how, results.runs)]
    return "\n".join([*parts, "", _NOTES, ""])


_NOTES = (
    "A failed answer counts as wrong. Intervals and p-values take items of one cluster together; the p-values are not "
    "corrected for the number of comparisons."
)


def how(run: Run) -> str:
    said = [f"{run.model}, {run.title}: {run.protocol}", f"temperature {run.temperature:g}", f"seed {run.seed}"]
    if run.top_p is not None:
        said.append(f"top p {run.top_p:g}")
    if run.max_tokens is not None:
        said.append(f"no more than {run.max_tokens} tokens an answer")
    if run.samples > 1:
        said.append(f"{run.samples} answers to each item")
    said.append(f"{run.items} items" if run.limit is None else f"{run.items} items, drawn under the seed")
    if run.sandbox:
        said.append("programs behind " + ", ".join(f"{wall} for {name}" for name, wall in run.sandbox.items()))
    return "; ".join(said) + f". {run.published}. {run.at}, Outcrop {run.version}, {run.seconds:.0f} s."


def _rows(table: Table) -> list[str]:
    head, rows = table
    return [_row(head), "|" + "---|" * len(head), *map(_row, rows)]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
