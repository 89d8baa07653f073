"""Jobs in real processes, under a real service."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from outcrop.jobs import Job, Kind, Outcome, Work, queue
from outcrop.jobs.supervisor import Timing
from outcrop.store.database import Database, Transaction
from tests.jobs import sample
from tests.jobs.sample import QUICK, ended, kind, look, make, now, serving, until
from tests.stores import store_at


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(store_at(tmp_path))
    yield opened
    opened.close()


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_job_runs_to_its_end_with_progress_and_lines(database: Database, tmp_path: Path) -> None:
    job = make(database, "count", {"to": 3})
    with serving(database, tmp_path, kind(sample.count)):
        done = ended(database, job)
    assert done.status == "completed"
    assert done.result == {"steps": [1, 2, 3], "attempts": [1, 1, 1]}
    assert (done.done, done.total, done.metrics) == (3, 3, {"loss": 1 / 3})
    assert [line.text for line in queue.lines(database, job.id)] == ["step 1", "step 2", "step 3"]
    assert (done.holder, done.lease_until, done.fence) == (None, None, 1)
    assert not list((tmp_path / "logs").glob("*"))


def test_a_killed_worker_goes_on_from_its_checkpoint(database: Database, tmp_path: Path) -> None:
    job = make(database, "count", {"to": 6, "pause": 0.1})
    with serving(database, tmp_path, kind(sample.count)):
        until(lambda: (look(database, job).done or 0) >= 2, "it never got to step 2")
        os.kill(look(database, job).state["pid"], signal.SIGKILL)
        done = ended(database, job)
    assert done.status == "completed"
    assert done.result["steps"] == [1, 2, 3, 4, 5, 6]
    assert set(done.result["attempts"]) == {1, 2}


def test_a_job_that_was_given_back_goes_on_elsewhere(database: Database, tmp_path: Path) -> None:
    job = make(database, "count", {"to": 6, "pause": 0.1})
    with serving(database, tmp_path, kind(sample.count)):
        until(lambda: (look(database, job).done or 0) >= 2, "it never got to step 2")
    between = look(database, job)
    assert (between.status, between.holder, between.crashes) == ("running", None, 0)
    with serving(database, tmp_path, kind(sample.count)):
        done = ended(database, job)
    assert done.result["steps"] == [1, 2, 3, 4, 5, 6]


def test_an_attempt_knows_its_job(database: Database, tmp_path: Path) -> None:
    job = make(database, "tell_all", {"a": ["ü", None, 1.5]})
    with serving(database, tmp_path, kind(sample.tell_all)):
        done = ended(database, job)
    assert done.result == [job.id, sample.ACCOUNT, sample.REGION, 1, {"a": ["ü", None, 1.5]}, None]


def test_a_refusal_fails_at_once_with_its_reason(database: Database, tmp_path: Path) -> None:
    job = make(database, "refuse")
    with serving(database, tmp_path, kind(sample.refuse)):
        done = ended(database, job)
    assert (done.status, done.reason, done.result, done.fence) == (
        "failed", "the data is not what it should be", {"line": 3}, 1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (sample.crash, "it raised ZeroDivisionError: division by zero"),
        (sample.die, "it was killed by SIGKILL (out of memory)"),
        (sample.same_checkpoint_then_die, "it ended with status 7"),
        (sample.wrong, "it raised TypeError: tests.jobs.sample:wrong returned dict and no Outcome"),
        (sample.not_json, "it raised TypeError: Type is not JSON serializable: set"),
        (sample.too_large, "it raised ValueError: A checkpoint of 1048578 bytes is too large; 1048576 is the most"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_job_that_always_crashes_fails_with_the_reason(
    database: Database, tmp_path: Path, run: Callable[[Work], Outcome], reason: str
) -> None:
    job = make(database, run.__name__)
    with serving(database, tmp_path, kind(run, crashes=3)):
        done = ended(database, job)
    assert done.status == "failed"
    assert done.reason is not None
    assert done.reason.startswith("Its process crashed 3 times without getting any further. The last time, ")
    assert reason in done.reason
    assert 3 <= done.fence <= 4


def test_a_function_that_is_not_there_is_a_crash(database: Database, tmp_path: Path) -> None:
    job = make(database, "nowhere")
    with serving(database, tmp_path, Kind("nowhere", "tests.jobs.sample:nowhere", crashes=2)):
        done = ended(database, job)
    assert "has no attribute 'nowhere'" in (done.reason or "")


def test_what_a_crashed_process_printed_is_kept(database: Database, tmp_path: Path) -> None:
    job = make(database, "crash")
    with serving(database, tmp_path, kind(sample.crash, crashes=1)):
        ended(database, job)
    printed = (tmp_path / "logs" / f"{job.id}.log").read_text()
    assert "about to divide" in printed
    assert "ZeroDivisionError" in printed


def test_a_large_checkpoint_fits(database: Database, tmp_path: Path) -> None:
    job = make(database, "large")
    with serving(database, tmp_path, kind(sample.large)):
        assert ended(database, job).result == 1024 * 1024 - 2


def test_a_stop_keeps_what_there_is(database: Database, tmp_path: Path) -> None:
    job = make(database, "count", {"to": 1000, "pause": 0.05})
    with serving(database, tmp_path, kind(sample.count)):
        until(lambda: (look(database, job).done or 0) >= 2, "it never got to step 2")
        with database.transaction() as transaction:
            asked = queue.stop(transaction, job.account, job.region, job.kind, job.id, now())
        assert asked is not None
        assert asked.status == "stopping"
        done = ended(database, job)
    assert done.status == "stopped"
    assert done.result["steps"] == done.state["steps"]
    assert len(done.result["steps"]) >= 2


@pytest.mark.parametrize("timing", [QUICK, Timing()], ids=["quick", "as shipped"])
def test_a_job_that_does_not_hear_of_the_stop_is_killed(database: Database, tmp_path: Path, timing: Timing) -> None:
    job = make(database, "deaf")
    with serving(database, tmp_path, kind(sample.deaf), timing=timing):
        until(lambda: look(database, job).state, "it never started")
        with database.transaction() as transaction:
            queue.stop(transaction, job.account, job.region, job.kind, job.id, now())
        done = ended(database, job)
    assert (done.status, done.state) == ("stopped", {"kept": True})
    assert done.ended_at is not None
    assert done.stop_at is not None
    assert timing.stop <= (done.ended_at - done.stop_at).total_seconds() < 10


def test_a_stopping_job_whose_server_went_away_stops_in_the_next(database: Database, tmp_path: Path) -> None:
    job = make(database, "count", {"to": 1000, "pause": 0.05})
    with serving(database, tmp_path, kind(sample.count)):
        until(lambda: (look(database, job).done or 0) >= 2, "it never got to step 2")
    with database.transaction() as transaction:
        queue.stop(transaction, job.account, job.region, job.kind, job.id, now())
    with serving(database, tmp_path, kind(sample.count)):
        done = ended(database, job)
    assert done.status == "stopped"
    assert done.result["steps"] == done.state["steps"]


def test_a_job_that_never_ran_stops_at_once(database: Database) -> None:
    job = make(database, "count", {"to": 1})
    with database.transaction() as transaction:
        stopped = queue.stop(transaction, job.account, job.region, job.kind, job.id, now())
        again = queue.stop(transaction, job.account, job.region, job.kind, job.id, now())
    assert stopped is not None
    assert (stopped.status, stopped.ended) == ("stopped", True)
    assert again is None


def test_a_process_that_is_paused_is_killed_and_the_job_goes_on(database: Database, tmp_path: Path) -> None:
    job = make(database, "count", {"to": 8, "pause": 0.1})
    with serving(database, tmp_path, kind(sample.count), timing=Timing(tick=0.05, lease=1.0, backoff=0.05)):
        until(lambda: (look(database, job).done or 0) >= 2, "it never got to step 2")
        os.kill(look(database, job).state["pid"], signal.SIGSTOP)
        done = ended(database, job)
    assert done.result["steps"] == list(range(1, 9))


def test_a_job_that_gets_nowhere_is_killed(database: Database, tmp_path: Path) -> None:
    job = make(database, "deaf")
    with serving(database, tmp_path, kind(sample.deaf, crashes=2, quiet_seconds=0.5)):
        done = ended(database, job)
    assert "it got nowhere for 0.5 s and was killed" in (done.reason or "")


def test_children_of_a_job_end_with_it(database: Database, tmp_path: Path) -> None:
    job = make(database, "with_child")
    with serving(database, tmp_path, kind(sample.with_child)):
        pids = until(lambda: look(database, job).state, "it never started")
        assert not gone(pids["child"])
    until(lambda: gone(pids["pid"]) and gone(pids["child"]), "something was left behind")


def test_what_completes_is_delivered_in_the_same_transaction(database: Database, tmp_path: Path) -> None:
    def deliver(transaction: Transaction, job: Job) -> None:
        transaction.execute("INSERT INTO tags (resource_arn, key, value) VALUES (?, ?, ?)", job.id, "made", "yes")

    job = make(database, "count", {"to": 2})
    refused = make(database, "refuse")
    with serving(database, tmp_path, kind(sample.count, deliver=deliver), kind(sample.refuse, deliver=deliver)):
        ended(database, refused)
        ended(database, job)
    assert [row["resource_arn"] for row in database.query("SELECT resource_arn FROM tags")] == [job.id]


def test_what_cannot_be_delivered_fails_the_job_and_leaves_nothing(database: Database, tmp_path: Path) -> None:
    def deliver(transaction: Transaction, job: Job) -> None:
        transaction.execute("INSERT INTO tags (resource_arn, key, value) VALUES (?, ?, ?)", job.id, "made", "yes")
        raise KeyError("no such model")

    job = make(database, "count", {"to": 2})
    with serving(database, tmp_path, kind(sample.count, deliver=deliver, crashes=2)):
        done = ended(database, job)
    assert done.status == "failed"
    assert "its result could not be delivered: KeyError: 'no such model'" in (done.reason or "")
    assert database.query("SELECT * FROM tags") == []


def test_kinds_keep_to_their_limit_and_accounts_take_turns(database: Database, tmp_path: Path) -> None:
    first = [make(database, "count", {"to": 1, "pause": 0.05}, account="1" * 12) for _ in range(4)]
    second = [make(database, "count", {"to": 1, "pause": 0.05}, account="2" * 12) for _ in range(2)]
    with serving(database, tmp_path, kind(sample.count, at_once=1)):
        finished = [ended(database, job) for job in (*first, *second)]
    spans = sorted(
        (job.started_at, job.ended_at, job.account[0]) for job in finished if job.started_at and job.ended_at
    )
    assert all(later[0] >= earlier[1] for earlier, later in itertools.pairwise(spans))
    assert "".join(account for *_, account in spans) == "121211"
