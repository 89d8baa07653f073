"""Results as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable

from outcrop.evaluation.comparing import mixed
from outcrop.evaluation.report.tables import Table, all_tables
from outcrop.evaluation.results import Results

# What Markdown, or the HTML within it, would take for markup.
_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#~$&])")


def markdown(results: Results) -> str:
    """All tables of a report: scores with intervals, pairs, cost, failures, settings."""
    parts = ["# Evaluation\n"]
    parts += [f"**{escaped(sentence)}**\n" for sentence in mixed(results)]
    parts += [_table(table) for table in all_tables(results)]
    return "\n".join(parts)


def escaped(text: str) -> str:
    """On one line, and nothing but text. Addresses stay whole."""
    flat = " ".join(text.split())
    return flat if flat.startswith("https://") and " " not in flat else _MARKUP.sub(r"\\\1", flat)


def _table(table: Table) -> str:
    rule = ("---:" if place in table.numbers else "---" for place in range(len(table.columns)))
    lines = [f"## {escaped(table.title)}", "", _row(map(escaped, table.columns)), _row(rule)]
    lines += [_row(map(_cell, row)) for row in table.rows]
    lines += ["", *(f"{escaped(note)}\n" for note in table.notes)]
    return "\n".join(lines)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    """Brackets around figures are no link."""
    return text if re.fullmatch(r"[-+\d., \[\]]+", text) else escaped(text)
