"""Answers as the page holds them: as many as a browser opens with ease, side by side."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import chain, zip_longest
from typing import Any

from outcrop.evaluation.report.tables import title_of
from outcrop.evaluation.results import Record, Results

# Characters of all that is embedded, and of one text.
LIMIT, TEXT = 12_000_000, 6_000
CUT = "[… the rest is in records.jsonl]"

Item = tuple[str, str]


def embedded(results: Results, limit: int = LIMIT) -> dict[str, Any]:
    """Items with the answers of all models. If not all have room, a sample of each suite, the same each time."""
    by_item: dict[Item, list[Record]] = {}
    for record in results.records:
        by_item.setdefault((record.suite, record.item), []).append(record)
    chosen: set[Item] = set()
    left = limit
    for key in _mixed(list(by_item)):
        left -= _size(by_item[key])
        if left < 0:
            break
        chosen.add(key)
    items = [_item(results, records) for key, records in by_item.items() if key in chosen]
    return {
        "models": results.models(),
        "suites": [{"name": suite, "title": title_of(results, suite)} for suite in results.suites()],
        "items": items,
        "total": len(by_item),
        "records": len(results.records),
    }


def _mixed(keys: Sequence[Item]) -> Iterator[Item]:
    """One of each suite in turn, in an order by chance."""
    suites: dict[str, list[Item]] = {}
    for key in keys:
        suites.setdefault(key[0], []).append(key)
    for own in suites.values():
        random.Random(0).shuffle(own)  # noqa: S311 - a sample that is the same each time
    turns = zip_longest(*suites.values())
    return (key for key in chain.from_iterable(turns) if key is not None)


def _size(records: Sequence[Record]) -> int:
    return min(len(records[0].prompt), TEXT) + sum(min(len(one.answer), TEXT) + 200 for one in records)


def _item(results: Results, records: Sequence[Record]) -> dict[str, Any]:
    first = records[0]
    prompt = first.prompt if len(first.prompt) <= TEXT else f"{CUT}\n{first.prompt[-TEXT:]}"
    return {
        "suite": results.suites().index(first.suite),
        "group": first.group,
        "id": first.item,
        "prompt": prompt,
        "reference": _short(first.reference),
        "answers": [_answer(results, one) for one in records],
    }


def _answer(results: Results, record: Record) -> dict[str, Any]:
    """`score` is the first metric's."""
    run = results.run(record.model, record.suite)
    metric = run.metrics[0] if run is not None else ""
    return {
        "model": results.models().index(record.model),
        "sample": record.sample,
        "text": _short(record.answer),
        "extracted": None if record.extracted is None else _short(record.extracted),
        "score": record.scores.get(metric, 0.0),
        "failure": record.failure,
        "detail": _short(record.detail),
        "finish": record.finish,
        "tokens": record.output_tokens,
        "seconds": round(record.seconds, 3),
        "cached": record.cached,
    }


def _short(text: str) -> str:
    return text if len(text) <= TEXT else f"{text[:TEXT]}\n{CUT}"
