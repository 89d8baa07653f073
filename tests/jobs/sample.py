"""Functions that the tests' jobs run in processes of their own, and the service that runs them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from outcrop.jobs import Job, Kind, Outcome, Work, completed, failed, queue, stopped
from outcrop.jobs.service import Service
from outcrop.jobs.supervisor import Timing
from outcrop.store.database import Database

T = TypeVar("T")

ACCOUNT, REGION = "111122223333", "us-east-1"
# The tests do not wait for what the defaults allow for.
QUICK = Timing(tick=0.05, lease=2.0, stop=1.0, backoff=0.05, longest_backoff=0.2)


def now() -> datetime:
    return datetime.now(UTC)


def kind(run: Callable[[Work], Outcome], **options: object) -> Kind:
    return Kind(run.__name__, f"{__name__}:{run.__name__}", **options)  # type: ignore[arg-type]  # Kind's own keywords


@contextlib.contextmanager
def serving(
    database: Database, folder: Path, *kinds: Kind, at_once: int = 4, timing: Timing = QUICK
) -> Iterator[Service]:
    service = Service(
        database, folder / "logs", at_once=at_once, clock=now, timing=timing, kinds={kind.name: kind for kind in kinds}
    )
    service.start()
    try:
        yield service
    finally:
        service.close()


def make(database: Database, kind: str, body: object = None, token: str | None = None, account: str = ACCOUNT) -> Job:
    with database.transaction() as transaction:
        return queue.create(transaction, account, REGION, kind, body, token, now=now()).job


def look(database: Database, job: Job) -> Job:
    found = queue.find(database, job.account, job.region, job.kind, job.id)
    assert found is not None
    return found


def until(condition: Callable[[], T | None], what: str, seconds: float = 60) -> T:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (found := condition()) is not None and found is not False:
            return found
        time.sleep(0.02)
    raise AssertionError(what)


def ended(database: Database, job: Job) -> Job:
    def found() -> Job | None:
        current = look(database, job)
        return current if current.ended else None

    return until(found, f"{job.kind} never ended")


def count(work: Work) -> Outcome:
    """Counts to `to`, a step every `pause` seconds, and names each attempt that it took a step in."""
    state: Mapping[str, list[int]] = work.state or {"steps": [], "attempts": []}
    steps, attempts = list(state["steps"]), list(state["attempts"])
    while len(steps) < work.input["to"]:
        if work.stopping():
            return stopped({"steps": steps})
        time.sleep(work.input.get("pause", 0))
        steps.append(len(steps) + 1)
        attempts.append(work.attempt)
        work.log(f"step {len(steps)}")
        work.progress(len(steps), work.input["to"], loss=1 / len(steps))
        work.checkpoint({"steps": steps, "attempts": attempts, "pid": os.getpid()})
    return completed({"steps": steps, "attempts": attempts})


def refuse(work: Work) -> Outcome:
    return failed("the data is not what it should be", {"line": 3})


def crash(work: Work) -> Outcome:
    print("about to divide", flush=True)
    return completed(1 / 0)


def die(work: Work) -> Outcome:
    print("out of memory", file=sys.stderr, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    return completed()


def same_checkpoint_then_die(work: Work) -> Outcome:
    work.checkpoint({"at": 1})
    os._exit(7)


def tell_all(work: Work) -> Outcome:
    """All that an attempt knows."""
    return completed([work.id, work.account, work.region, work.attempt, work.input, work.state])


def deaf(work: Work) -> Outcome:
    """Never asks whether to stop."""
    work.checkpoint({"kept": True})
    time.sleep(600)
    return completed()


def with_child(work: Work) -> Outcome:
    child = subprocess.Popen(["sleep", "600"])
    work.checkpoint({"pid": os.getpid(), "child": child.pid})
    child.wait()
    return completed()


def wrong(work: Work) -> Outcome:
    return {"not": "an outcome"}  # type: ignore[return-value]  # that is the point


def not_json(work: Work) -> Outcome:
    return completed({1, 2})


def too_large(work: Work) -> Outcome:
    work.checkpoint("x" * 1024 * 1024)
    return completed()


def large(work: Work) -> Outcome:
    work.checkpoint("x" * (1024 * 1024 - 2))
    return completed(len(work.state))
