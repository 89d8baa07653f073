"""What a job's function sees, without a process; the how-to's example is one such function."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from outcrop import jobs
from outcrop.jobs.work import LINE_CHARACTERS, PROGRESS_SECONDS, Work

HOW_TO = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "jobs.md"


class Recorded:
    """A channel that keeps what it is told, and says to stop after so many checkpoints."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.told: list[Mapping[str, Any]] = []
        self._stop_after = stop_after

    def tell(self, message: Mapping[str, Any]) -> None:
        self.told.append(message)

    def ask(self, message: Mapping[str, Any]) -> None:
        self.told.append(message)

    def stopping(self) -> bool:
        return self._stop_after is not None and len(self.of("checkpoint")) >= self._stop_after

    def of(self, kind: str) -> list[Mapping[str, Any]]:
        return [message for message in self.told if message["type"] == kind]


def work(channel: Recorded, input_: Any = None, state: Any = None, seconds: Callable[[], float] = lambda: 0.0) -> Work:
    return Work("some-job", input_, state, 3, channel, account="1" * 12, region="us-east-1", monotonic=seconds)


def test_progress_is_said_a_few_times_a_second_and_before_each_checkpoint() -> None:
    channel, now = Recorded(), 0.0
    attempt = work(channel, seconds=lambda: now)
    for step in range(9):
        attempt.progress(step, 10, loss=0.5)
        now += 0.4 * PROGRESS_SECONDS
    assert [message["done"] for message in channel.told] == [0, 3, 6]
    attempt.checkpoint({"step": 8})
    assert [message["type"] for message in channel.told[3:]] == ["progress", "checkpoint"]
    assert channel.told[3] == {"type": "progress", "done": 8, "total": 10, "metrics": {"loss": 0.5}}
    assert attempt.state == {"step": 8}


def test_a_line_is_not_longer_than_anyone_reads() -> None:
    channel = Recorded()
    work(channel).log("x" * 5000)
    assert channel.told == [{"type": "line", "line": "x" * LINE_CHARACTERS}]


@pytest.fixture(name="sums")
def run_of_the_how_to() -> Callable[[Work], jobs.Outcome]:
    (code,) = re.findall(r"```python\n(def run.*?)```", HOW_TO.read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {"jobs": jobs}
    exec(code, names)  # noqa: S102 - our own page
    run: Callable[[Work], jobs.Outcome] = names["run"]
    return run


def test_the_example_runs_stops_and_goes_on(sums: Callable[[Work], jobs.Outcome]) -> None:
    given = {"numbers": list(range(250))}
    assert sums(work(Recorded(), given)) == jobs.completed(sum(range(250)))
    first = Recorded(stop_after=2)
    assert sums(work(first, given)) == jobs.stopped({"next": 200, "sum": sum(range(200))})
    assert sums(work(Recorded(), given, first.of("checkpoint")[-1]["state"])) == jobs.completed(sum(range(250)))
