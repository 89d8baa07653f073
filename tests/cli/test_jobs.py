"""`outcrop jobs`, beside a service that runs them."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from outcrop.jobs import queue
from outcrop.jobs.job import Job
from outcrop.store.database import Database
from tests.cli.test_commands import outcrop
from tests.jobs import sample
from tests.jobs.sample import ACCOUNT, REGION, ended, kind, make, now, serving
from tests.live import clean_environment
from tests.stores import settings_of, store_at


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    (tmp_path / "settings.toml").write_text(settings_of(store_at(tmp_path)))
    opened = Database.open(store_at(tmp_path))
    yield opened
    opened.close()


def test_list_and_show(database: Database, tmp_path: Path) -> None:
    assert outcrop(tmp_path, "jobs", "list").stdout == ""
    count, refuse = make(database, "count", {"to": 2}), make(database, "refuse")
    waiting = make(database, "unheard-of")
    with serving(database, tmp_path, kind(sample.count), kind(sample.refuse)):
        ended(database, count)
        ended(database, refuse)
    listed = outcrop(tmp_path, "jobs", "list").stdout.splitlines()
    assert [line.split()[0] for line in listed] == [waiting.id, refuse.id, count.id]
    assert listed[1].endswith("the data is not what it should be")
    assert listed[2].endswith("2 of 2")
    only = json.loads(outcrop(tmp_path, "jobs", "list", "--status", "failed", "--status", "queued", "--json").stdout)
    assert [job["id"] for job in only] == [waiting.id, refuse.id]
    assert [job["id"] for job in json.loads(outcrop(tmp_path, "jobs", "list", "--kind", "count", "--json").stdout)] == [
        count.id
    ]
    shown = json.loads(outcrop(tmp_path, "jobs", "show", count.id, "--json").stdout)
    assert (shown["status"], shown["input"], shown["lines"]) == ("completed", {"to": 2}, ["step 1", "step 2"])
    text = outcrop(tmp_path, "jobs", "show", count.id).stdout
    assert "status: completed\n" in text
    assert text.rstrip().endswith("step 2")


def test_a_name_must_mean_one_job(database: Database, tmp_path: Path) -> None:
    assert "There is no job nothing" in outcrop(tmp_path, "jobs", "show", "nothing").stderr
    made: list[Job] = []
    for account in ("1" * 12, "2" * 12):
        with database.transaction() as transaction:
            made.append(queue.create(transaction, account, REGION, "count", 1, now=now(), name="twin").job)
    failed = outcrop(tmp_path, "jobs", "watch", "twin")
    assert failed.returncode == 1
    assert all(job.id in failed.stderr for job in made)


def test_watch_follows_to_the_end(database: Database, tmp_path: Path) -> None:
    job = make(database, "count", {"to": 8, "pause": 0.1})
    with serving(database, tmp_path, kind(sample.count)):
        watched = outcrop(tmp_path, "jobs", "watch", job.id)
    assert watched.returncode == 0
    said = [line.split("  ", 1)[1] for line in watched.stdout.splitlines() if "  step" in line]
    assert said == [f"step {number}" for number in range(1, 9)]
    assert watched.stdout.splitlines()[-2:] == ["completed", "The job completed."]


def test_watch_tells_of_a_failure(database: Database, tmp_path: Path) -> None:
    job = make(database, "crash")
    with serving(database, tmp_path, kind(sample.crash, crashes=2)):
        watched = outcrop(tmp_path, "jobs", "watch", job.id)
    assert watched.returncode == 1
    assert "The job failed. Its process crashed 2 times" in watched.stderr


def test_watch_draws_a_bar_on_a_terminal(database: Database, tmp_path: Path) -> None:
    with database.transaction() as transaction:
        job = queue.create(
            transaction, ACCOUNT, REGION, "count", {"to": 40, "pause": 0.1}, now=now(), name="[bold]draw"
        ).job
    with serving(database, tmp_path, kind(sample.count)):
        drawn = on_a_terminal(tmp_path, "jobs", "watch", "[bold]draw")
    assert ended(database, job).status == "completed"
    assert "100%" in drawn
    assert "time left not known" in drawn
    assert " s left" in drawn
    assert "loss 0.025" in drawn


def on_a_terminal(home: Path, *arguments: str) -> str:
    """What the command draws where it believes that somebody sits in front of it."""
    ours, theirs = pty.openpty()
    environment = {**clean_environment(home), "TERM": "xterm", "COLUMNS": "160"}
    with subprocess.Popen(
        [sys.executable, "-m", "outcrop", *arguments], env=environment, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        drawn = b""
        while True:
            try:
                got = os.read(ours, 65536)
            except OSError:
                break
            if not got:
                break
            drawn += got
    os.close(ours)
    assert process.returncode == 0, drawn.decode()
    return drawn.decode()
