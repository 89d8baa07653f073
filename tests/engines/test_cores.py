from __future__ import annotations

import os
from pathlib import Path

import pytest

from outcrop.engines import cores
from outcrop.engines.llamacpp.engine import default_threads


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Control groups of a machine with 64 cores."""
    monkeypatch.setattr(cores, "CGROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "usable"),
    [("max 100000", 64), ("200000 100000", 2), ("150000 100000", 2), ("5000 100000", 1), ("nonsense", 64)],
)
def test_the_share_of_a_container(group: Path, text: str, usable: int) -> None:
    (group / "cpu.max").write_text(text)
    assert cores.usable_cores() == usable


@pytest.mark.parametrize(("quota", "usable"), [("400000", 4), ("-1", 64)])
def test_the_older_form(group: Path, quota: str, usable: int) -> None:
    (group / "cpu").mkdir()
    (group / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (group / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert cores.usable_cores() == usable


def test_no_groups_at_all(group: Path) -> None:
    assert cores.usable_cores() == 64
    assert default_threads() == 63
