"""The benchmark of durability, shortened: real servers and processes, killed at random."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.chaos import chaos

from tests.stores import store_at

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="processes are looked up in /proc")


def test_nothing_is_lost_under_kill_9(tmp_path: Path) -> None:
    report = chaos(store_at(tmp_path), tmp_path, kills=15, servers=2, seed=3)
    wrong = (
        report.items_lost, report.items_done_twice, report.deliveries_wrong, report.jobs_failed, report.jobs_doubled,
        report.statuses_backwards,
    )  # fmt: skip
    assert wrong == (0, 0, 0, 0, 0, 0), report
    assert report.completed > 0
    assert report.attempts > report.jobs
