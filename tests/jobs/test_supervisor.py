"""The supervisor and processes that say what they should not; no time passes but the test's own."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from outcrop.jobs import Job, Kind, claims, queue
from outcrop.jobs.claims import Hold
from outcrop.jobs.supervisor import Supervisor
from outcrop.store.database import Database
from tests.stores import store_at

ACCOUNT, REGION, KIND = "111122223333", "us-east-1", "sums"
START = datetime(2030, 1, 1, tzinfo=UTC)


class Quiet:
    """A process that lives until it is killed."""

    def __init__(self) -> None:
        self.got: list[Mapping[str, Any]] = []
        self.killed = False

    def send(self, message: Mapping[str, Any]) -> None:
        self.got.append(message)

    def ended(self) -> str | None:
        return "it was killed" if self.killed else None

    def kill(self) -> None:
        self.killed = True


class Bench:
    """A supervisor whose clocks stand still until they are told to go on."""

    def __init__(self, database: Database, crashes: int = 3) -> None:
        self.database = database
        self.seconds = 0.0
        self.processes: dict[str, Quiet] = {}
        self.supervisor = Supervisor(
            database,
            {KIND: Kind(KIND, "", at_once=5, crashes=crashes)},
            self._start,
            name="bench",
            at_once=5,
            clock=lambda: START + timedelta(seconds=self.seconds),
            monotonic=lambda: self.seconds,
            random=random.Random(1),
        )

    def make(self) -> str:
        with self.database.transaction() as transaction:
            now = START + timedelta(seconds=self.seconds)
            return queue.create(transaction, ACCOUNT, REGION, KIND, None, now=now).job.id

    def look(self, job_id: str) -> Job:
        job = queue.find(self.database, ACCOUNT, REGION, KIND, job_id)
        assert job is not None
        return job

    def says(self, job_id: str, **message: Any) -> None:
        self.supervisor.heard(Hold(job_id, self.look(job_id).fence), message)

    def tick(self, after: float = 1.0) -> None:
        self.seconds += after
        self.supervisor.tick()

    def _start(self, job: Job, kind: Kind) -> Quiet:
        self.processes[job.id] = Quiet()
        return self.processes[job.id]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(store_at(tmp_path))
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "message",
    [
        {"type": "checkpoint", "state": {1, 2}}, {"type": "checkpoint", "state": "\ud800"}, {"type": "checkpoint"},
        {"type": "outcome", "status": "completed", "result": object(), "reason": None},
        {"type": "progress", "done": "many", "total": None, "metrics": {}},
        {"type": "progress", "done": 1, "total": [], "metrics": {}},
        {"type": "progress", "done": 1, "total": 2, "metrics": {"loss": "low"}}, {"type": "line", "line": None}, {},
    ],
    ids=[
        "set", "surrogate", "no-state", "object", "done", "total", "metric", "line", "nothing",
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_a_crash_of_the_one_who_said_it(database: Database, message: dict[str, Any]) -> None:
    bench = Bench(database)
    bad, good = bench.make(), bench.make()
    bench.tick()
    bench.says(good, type="line", line="well")
    bench.says(bad, **message)
    crashed = bench.look(bad)
    assert (crashed.holder, crashed.crashes) == (None, 1)
    assert crashed.problem is not None
    assert crashed.problem.startswith("it said what cannot be written: ")
    assert bench.processes[bad].killed
    lease = bench.look(good).lease_until
    bench.tick()
    after = bench.look(good)
    assert lease is not None
    assert after.lease_until == lease + timedelta(seconds=1)
    assert [line.text for line in queue.lines(database, good)] == ["well"]


def test_text_that_is_none_is_written_as_far_as_it_is(database: Database) -> None:
    bench = Bench(database)
    job = bench.make()
    bench.tick()
    bench.says(job, type="line", line="half \ud83d of a smile")
    bench.says(job, type="crash", problem="\ud83d")
    assert [line.text for line in queue.lines(database, job)] == ["half ? of a smile"]
    assert bench.look(job).problem == "?"


def test_a_job_that_crashed_ever_so_often_waits_a_minute_at_most(database: Database) -> None:
    bench = Bench(database, crashes=1_000_000)
    job = bench.make()
    for crashes in (0, 3, 63, 5000):
        with database.transaction() as transaction:
            transaction.execute("UPDATE jobs SET crashes = ? WHERE id = ?", crashes, job)
        bench.tick(60)
        bench.says(job, type="crash", problem="again")
        waits = (bench.look(job).not_before - START).total_seconds() - bench.seconds
        longest = min(60.0, 2.0 ** min(crashes, 10))
        assert longest / 2 <= waits <= longest


def test_lines_are_written_with_the_next_renewal_and_there_once(database: Database) -> None:
    bench = Bench(database)
    job = bench.make()
    bench.tick()
    for number in range(2500):
        bench.says(job, type="line", line=f"line {number}")
    assert queue.lines(database, job) == []
    bench.tick()
    bench.tick()
    assert [line.text for line in queue.lines(database, job, limit=5000)] == [
        f"line {number}" for number in range(2500 - claims.KEPT_LINES, 2500)
    ]


def test_a_checkpoint_is_acknowledged_when_it_is_on_disk(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(database)
    job = bench.make()
    bench.tick()
    write = claims.checkpoint

    def broken(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(claims, "checkpoint", broken)
    bench.says(job, type="checkpoint", state={"at": 1})
    bench.tick()
    assert bench.processes[job].got == []
    monkeypatch.setattr(claims, "checkpoint", write)
    bench.tick()
    assert bench.processes[job].got == [{"type": "kept"}]
    assert bench.look(job).state == {"at": 1}
