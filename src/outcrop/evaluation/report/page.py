"""Results as one HTML page that needs nothing else: no server, no network, no other file."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from outcrop import __version__
from outcrop.evaluation.comparing import mixed
from outcrop.evaluation.item import EvaluationError
from outcrop.evaluation.report import answers, tables
from outcrop.evaluation.report.published import NOT_MEASURED
from outcrop.evaluation.report.tables import Table
from outcrop.evaluation.results import Results

_INTERVAL = re.compile(r"^([-+]?[\d.]+) (\[[-+\d., ]+\])$")


def write_html(results: Results, path: Path, *, limit: int = answers.LIMIT) -> None:
    """`limit`: characters of answers that are embedded. EvaluationError without plotly, or where nothing was measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(html(results, limit).encode("utf-8", "replace"))


def html(results: Results, limit: int = answers.LIMIT) -> str:
    if not results.runs:
        raise EvaluationError("There are no results to be shown.")
    try:
        from plotly.offline import get_plotlyjs

        from outcrop.evaluation.report import figures
    except ImportError:
        raise EvaluationError("The page needs plotly: pip install 'outcrop[evaluate]'.") from None
    scripts = [_script(get_plotlyjs()), _script(_own("page.js"))]
    grouped = {suite: table for suite in results.suites() if (table := tables.by_group(results, suite)) is not None}
    drawn = {
        "scores": figures.by_suite(results),
        "speed": figures.speed(results),
        **{f"groups-{suite}": figures.by_group(results, suite) for suite in grouped},
    }
    more = _more(results)
    shown = answers.embedded(results, limit)
    return Template(_own("page.html")).substitute(
        policy=escape(_policy(scripts)),
        style=_own("page.css"),
        subtitle=escape(_subtitle(results)),
        nav=_nav(grouped, more),
        warnings="".join(f'<p class="warning">{escape(sentence)}</p>' for sentence in mixed(results)),
        overview=_table(tables.overview(results)),
        metrics=_table(tables.all_metrics(results)),
        groups=_groups(results, grouped),
        cost=_table(tables.cost(results)),
        more="".join(_section(table) for table in more),
        embedded=_how_many(shown),
        figures=_data(drawn),
        answers=_data(shown),
        plotly=scripts[0],
        script=scripts[1],
        version=escape(__version__),
    )


def _own(name: str) -> str:
    return (files("outcrop.evaluation.report") / name).read_text(encoding="utf-8")


def _script(source: str) -> str:
    """As it may stand within a script element; browsers hash it with plain line ends."""
    return source.replace("\r\n", "\n").replace("</script", "<\\/script")


def _policy(scripts: Sequence[str]) -> str:
    """Only our own two scripts, and nothing from anywhere. plotly writes styles, and copies a plot by way of a blob."""
    hashes = (base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts)
    allowed = " ".join(f"'sha256-{one}'" for one in hashes)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _data(value: Any) -> str:
    """JSON that cannot end the element that it stands in."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


def _subtitle(results: Results) -> str:
    models, suites = len(results.models()), len(results.suites())
    asked = sorted(run.at for run in results.runs)
    when = asked[0][:10] if asked[0][:10] == asked[-1][:10] else f"{asked[0][:10]} to {asked[-1][:10]}"
    return (
        f"{models} model{'s' * (models != 1)} on {suites} suite{'s' * (suites != 1)}, "
        f"{len(results.records):,} answers, {when}"
    )


def _nav(grouped: Mapping[str, Table], more: Sequence[Table]) -> str:
    places = [("scores", "Scores"), *([("groups", "Groups")] if grouped else []), ("speed", "Speed")]
    places += [(table.key, table.key.capitalize()) for table in more] + [("answers", "Answers")]
    return "".join(f'<a href="#{key}">{word}</a>' for key, word in places)


def _how_many(shown: dict[str, Any]) -> str:
    here, total = len(shown["items"]), shown["total"]
    if here == total:
        return f"All {total:,} questions are here."
    return f"{here:,} of {total:,} questions are here, a sample of each suite; the rest is in records.jsonl."


def _more(results: Results) -> list[Table]:
    found = (tables.pairs(results), tables.failures(results), tables.settings(results), tables.elsewhere(results))
    return [table for table in found if table is not None]


def _groups(results: Results, grouped: Mapping[str, Table]) -> str:
    if not grouped:
        return ""
    options = "".join(
        f'<option value="{escape(suite)}">{escape(tables.title_of(results, suite))}</option>' for suite in grouped
    )
    parts = "".join(
        f'<div class="group" data-suite="{escape(suite)}"><div class="plot" data-figure="groups-{escape(suite)}"></div>'
        f"<details><summary>As a table</summary>{_table(table)}</details></div>"
        for suite, table in grouped.items()
    )
    return (
        '<section id="groups"><h2>By subject and language</h2>'
        f'<label class="choice">Suite <select id="group-suite">{options}</select></label>{parts}</section>'
    )


def _section(table: Table) -> str:
    return f'<section id="{escape(table.key)}"><h2>{escape(table.title)}</h2>{_table(table)}</section>'


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col"{_figure(table, at)}>{escape(one)}</th>' for at, one in enumerate(table.columns))
    body = "".join(f"<tr{_aside(table, number)}>{_cells(table, row)}</tr>" for number, row in enumerate(table.rows))
    notes = "".join(f"<p>{escape(note)}</p>" for note in table.notes)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.title)}"><table>'
        f"<caption>{escape(table.title)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        f'<div class="notes">{notes}</div>'
    )


def _cells(table: Table, row: Sequence[str]) -> str:
    first = f'<th scope="row">{_cell(row[0])}</th>'
    return first + "".join(f"<td{_figure(table, at)}>{_cell(one)}</td>" for at, one in enumerate(row) if at)


def _cell(text: str) -> str:
    """An address becomes a link; an interval, or that something is not ours, goes below."""
    shown = escape(text)
    if text.startswith("https://"):
        return f'<a href="{shown}" rel="noopener noreferrer">{shown.removeprefix("https://")}</a>'
    if text.endswith(f" ({NOT_MEASURED})"):
        return f"{shown.removesuffix(f' ({NOT_MEASURED})')} <small>{NOT_MEASURED}</small>"
    return _INTERVAL.sub(r"\1 <small>\2</small>", shown)


def _aside(table: Table, number: int) -> str:
    return ' class="aside"' if number in table.aside else ""


def _figure(table: Table, at: int) -> str:
    return ' class="figure"' if at in table.numbers else ""
