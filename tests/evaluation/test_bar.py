"""The time that is left is told by what is asked, and by nothing that was known."""

from __future__ import annotations

import time

import pytest

from outcrop.cli.evaluation_bar import Bar
from outcrop.evaluation.results import Record


def record(cached: bool, failure: str | None = None) -> Record:
    return Record("m", "s", "1", "all", "1", 0, "?", "!", None, "", {}, failure=failure, cached=cached)


def test_known_answers_promise_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    bar = Bar(1)
    bar.begin("m", "GSM8K", 150)
    for _ in range(90):
        bar.done(record(cached=True))
    now = 1.0
    assert bar.left(now) == "time left not known"
    for _ in range(20):
        now += 1.0
        bar.done(record(cached=False))
    # 40 of 60 are left, at about one a second; with the known ones it would be 8 s.
    assert bar.left(now) == "about 40 s left"
    bar.done(record(cached=False, failure="no"))
    assert bar.left(now).endswith(", 1 failed")


def test_each_run_begins_anew() -> None:
    bar = Bar(2)
    bar.begin("m", "GSM8K", 10)
    bar.done(record(cached=False, failure="no"))
    bar.begin("m", "MMLU", 10)
    assert bar.left(time.monotonic()) == "time left not known"
