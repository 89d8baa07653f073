"""Ours beside Bedrock's files: the figures with their uncertainty, every verdict and perturbed answer, the judge's prompts,
and the same as a table and a picture.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import orjson

from outcrop import __version__
from outcrop.evaluation.jobs.output import Output
from outcrop.evaluation.jobs.plan import Plan
from outcrop.evaluation.jobs.scored import Scored
from outcrop.evaluation.jobs.summary import NO_ANSWER
from outcrop.evaluation.metrics import scale
from outcrop.evaluation.metrics.judged import FRAME

_WIDTH, _BAR, _ROW = 760, 400, 26
# Letters of a name in the picture.
_LABEL = 26


def write(
    output: Output, summary: Mapping[str, Any], plan: Plan, rows: Sequence[Sequence[Scored]], judges: Sequence[str]
) -> None:
    """Everything below `outcrop/`. Blocks."""
    output.write_json("outcrop/summary.json", {**summary, "version": __version__, "judges": list(judges)})
    lines = (
        orjson.dumps({"taskType": dataset.task, "dataset": dataset.name, **_record(row)}) + b"\n"
        for dataset, some in zip(plan.datasets, rows, strict=True)
        for row in some
    )
    output.write("outcrop/records.jsonl", b"".join(lines), "application/jsonl")
    if judges:
        output.write_json("outcrop/judge-prompts.json", prompts(plan))
    output.write("outcrop/report.md", markdown(summary).encode(), "text/markdown; charset=utf-8")
    output.write("outcrop/report.html", page(summary).encode(), "text/html; charset=utf-8")


def _record(row: Scored) -> dict[str, Any]:
    scores = [
        {"metric": one.metric, "result": one.result, "absent": one.absent, "reason": one.reason, **one.also}
        for one in row.scores
    ]
    return {"line": row.record.line, "answer": row.answer, "failure": row.failure, "scores": scores}


def prompts(plan: Plan) -> dict[str, Any]:
    """What the judge is asked for each metric: the frame, and what stands in it."""
    used = {name for dataset in plan.datasets for name in dataset.metrics}
    found: dict[str, Any] = {"frame": FRAME, "metrics": {}}
    for name, metric in (plan.judged or {}).items():
        if name in used:
            found["metrics"][name] = {
                "question": metric.question,
                "shown": list(metric.uses),
                "instructions": scale.instructions(metric.levels, True),
                "scale": {level.label: level.value for level in metric.levels},
            }
    for custom in plan.customs:
        levels = {level.label: level.value for level in custom.levels}
        asked = scale.instructions(custom.levels, False) if custom.levels else None
        found["metrics"][custom.name] = {"prompt": custom.instructions, "instructions": asked, "scale": levels}
    return found


def markdown(summary: Mapping[str, Any]) -> str:
    lines = [f"# {summary['jobName']}", "", summary["jobArn"], ""]
    lines += [
        "| dataset | model | metric | computed | result | 95 % | n | absent |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for dataset, name, metric in _metrics(summary):
        cells = (
            dataset["dataset"], dataset["model"], name, metric["computed"], _figure(metric), _interval(metric),
            str(metric["n"]), str(metric["absent"]),
        )  # fmt: skip
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    lines += ["", *_remarks(summary), ""]
    return "\n".join(lines)


def _metrics(summary: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], str, Mapping[str, Any]]]:
    return [(dataset, name, metric) for dataset in summary["datasets"] for name, metric in dataset["metrics"].items()]


def _figure(metric: Mapping[str, Any]) -> str:
    if (mean := metric.get("mean")) is not None:
        return f"{mean:.3f}"
    counts = metric.get("counts", {})
    return ", ".join(f"{value}: {count}" for value, count in counts.items()) or "–"


def _interval(metric: Mapping[str, Any]) -> str:
    return f"{metric['low']:.3f}–{metric['high']:.3f}" if "low" in metric else ""


def _remarks(summary: Mapping[str, Any]) -> list[str]:
    """Failures, absent scores and agreement, a sentence each."""
    found = []
    for dataset in summary["datasets"]:
        failures = dataset["failures"]
        if failures:
            first = failures[0]
            found.append(
                f"* {dataset['dataset']}: {len(failures)} of {dataset['records']} prompts were not answered and are in no "
                f"figure. The first, line {first['line']}: {first['reason']}"
            )
    for dataset, name, metric in _metrics(summary):
        where = f"{dataset['dataset']}, {name}"
        why_absent = {why: count for why, count in metric["whyAbsent"].items() if why != NO_ANSWER}
        found += [f"* {where}: {count} without a score. {why}" for why, count in why_absent.items()]
        for who, one in metric.get("agreement", {}).items():
            kappa = "" if one["kappa"] is None else f", Cohen's kappa {one['kappa']:.2f}"
            with_whom = "itself, its scale turned round," if who == "itself" else "people's labels"
            undecided = f"; in {one['undecided']} more only one of the two decided" if one["undecided"] else ""
            found.append(
                f"* {where}: the judge agrees with {with_whom} in {one['share']:.0%} of {one['n']}{kappa}{undecided}."
            )
    return found


def page(summary: Mapping[str, Any]) -> str:
    """One file that needs nothing else."""
    rows = _metrics(summary)
    bars = [(f"{_short(dataset['dataset'])} · {_short(name)}", one) for dataset, name, one in rows if "low" in one]
    head = "<th>dataset<th>model<th>metric<th>computed<th>result<th>95 %<th>n<th>absent"
    body = "".join(
        "<tr>"
        + "".join(
            f"<td>{escape(str(cell))}"
            for cell in (
                dataset["dataset"], dataset["model"], name, metric["computed"], _figure(metric), _interval(metric),
                metric["n"], metric["absent"],
            )
        )
        for dataset, name, metric in rows
    )  # fmt: skip
    remarks = "".join(f"<li>{escape(line.removeprefix('* '))}" for line in _remarks(summary))
    title = escape(summary["jobName"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>'
        "body{font:15px/1.5 system-ui,sans-serif;max-width:76em;margin:2em auto;padding:0 1em;color:#222;background:#fff}"
        "table{border-collapse:collapse;width:100%}td,th{padding:.3em .6em;border-bottom:1px solid #ddd;text-align:left}svg{max-width:56em}"
        f"</style><h1>{title}</h1><p><code>{escape(summary['jobArn'])}</code></p>{_picture(bars)}"
        f"<table><thead><tr>{head}</thead><tbody>{body}</tbody></table><ul>{remarks}</ul></html>\n"
    )


def _short(name: str) -> str:
    name = name.removeprefix("Builtin.")
    return name if len(name) <= _LABEL else f"{name[: _LABEL - 1]}…"


def _picture(bars: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """Bars from 0 to 1 with their intervals."""
    if not bars:
        return ""
    left, drawn = _WIDTH - _BAR, []
    for at, (label, metric) in enumerate(bars):
        top = at * _ROW + 6
        middle, low, high = top + 7, left + _BAR * metric["low"], left + _BAR * metric["high"]
        drawn.append(
            f'<text x="{left - 8}" y="{top + 12}" text-anchor="end">{escape(label)}</text>'
            f'<rect x="{left}" y="{top}" width="{_BAR * metric["mean"]:.1f}" height="14" fill="#4a7ba6"/>'
            f'<path d="M{low:.1f} {middle}H{high:.1f}M{low:.1f} {top + 3}V{top + 11}M{high:.1f} {top + 3}V{top + 11}" '
            'stroke="#222" fill="none"/>'
        )
    bottom = len(bars) * _ROW + 4
    drawn.append(f'<text x="{left}" y="{bottom + 14}">0</text><text x="{_WIDTH - 8}" y="{bottom + 14}">1</text>')
    height = bottom + 18
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" width="100%" role="img" aria-label="Results from 0 to 1" font-size="12">'
        f'<path d="M{left} 0V{bottom}M{_WIDTH - 1} 0V{bottom}" stroke="#bbb"/>{"".join(drawn)}</svg>'
    )
