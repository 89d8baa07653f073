"""What was under way goes on: after a killed server, after a crash at the end. What takes too long does not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from outcrop.batch.service import Service
from outcrop.jobs import Kind
from outcrop.jobs.job import at
from outcrop.models import custom
from outcrop.pretraining import operations
from outcrop.pretraining.job import KIND
from outcrop.pretraining.run import Follow, PretrainingRun, delivering
from outcrop.store.database import Database
from outcrop.training.pretraining import METRICS
from tests.batch.inside import QUICK, Inside
from tests.live import Server, serve
from tests.pretraining.asking import LONG, RECIPE, administrator, number_of
from tests.pretraining.conftest import SETTINGS
from tests.stores import store_at


def trainers(home: Path) -> list[int]:
    """Processes that train for a server with this data folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"outcrop.training.pretraining_job" in words and str(home).encode() in words[-2]:
                found.append(int(folder.name))
    return found


def until(holds: Callable[[], object], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def kill(server: Server) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()


def test_a_killed_server_s_training_goes_on_in_the_next_from_where_it_was(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serve(home, settings=SETTINGS) as server:
        arn = administrator(server).create(recipe=LONG)
        out = home / "pretraining" / number_of(arn) / "out"
        until(lambda: [*out.glob("checkpoint/step-[3-9]*/progress.json")])
        kill(server)
        # The trainer ends with the server, without being told.
        until(lambda: not trainers(home), 10)
        before = (out / METRICS).read_text().splitlines()
    # A run that began anew would write this row again.
    before[1] = "1,0,9.00000000,8103.083928"
    (out / METRICS).write_text("".join(f"{line}\n" for line in before))
    expire(home, number_of(arn))
    with serve(home, settings=SETTINGS) as server:
        asking = administrator(server)
        until(lambda: len((out / METRICS).read_text().splitlines()) > len(before) + 2)
        after = (out / METRICS).read_text().splitlines()
        assert [int(line.split(",")[0]) for line in after[1:]] == list(range(1, len(after)))
        assert after[1] == before[1]
        assert asking.stop(arn).status == 200
        assert asking.until(arn)["status"] == "Stopped"
    until(lambda: not trainers(home), 10)


def expire(home: Path, job_id: str) -> None:
    """The killed server's lease is over, without waiting for it."""
    database = Database.open(store_at(home))
    past = at(datetime.now(UTC) - timedelta(seconds=1))
    with database.transaction() as transaction:
        transaction.execute("UPDATE jobs SET lease_until = ? WHERE id = ?", past, job_id)
    database.close()


@contextlib.contextmanager
def serving(inside: Inside, follow: Follow) -> Iterator[None]:
    """Jobs run on a loop of their own meanwhile, and `follow` trains."""
    clock = lambda: datetime.now(UTC)  # noqa: E731
    kind = Kind(KIND, "a task", deliver=delivering(clock))
    runs = {KIND: PretrainingRun(inside.parts, follow)}
    service = Service(inside.parts.database, runs, at_once=1, clock=clock, timing=QUICK, kinds={KIND: kind})
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(_start(service), loop).result()
        yield
    finally:
        service.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _start(service: Service) -> None:
    service.start()


def create(inside: Inside, **more: Any) -> str:
    request = {"jobName": "inside", "modelName": "pebble", "recipe": RECIPE, **more}
    return str(operations.create_pretraining_job(inside.ctx, request)["jobArn"])


def ended(inside: Inside, arn: str) -> dict[str, Any]:
    def job() -> dict[str, Any]:
        return operations.get_pretraining_job(inside.ctx, {"jobIdentifier": arn})

    until(lambda: job()["status"] in ("Completed", "Failed", "Stopped"))
    return job()


def done(folder: Path) -> Mapping[str, Any]:
    result = {"folder": str(folder), "name": "tiny", "parameters": 9, "training_loss": 1.5, "steps": 2, "tokens": 3}
    return {"type": "done", "result": {**result, "seconds": 0.5}}


def write(folder: Path) -> None:
    folder.mkdir()
    for name in ("config.json", "tiny.gguf"):
        (folder / name).write_text(name)


def test_what_was_trained_is_not_trained_again_after_a_crash_at_the_end(tmp_path: Path) -> None:
    inside, made, trained = Inside(tmp_path, ""), tmp_path / "made", []

    async def follow(spec: Path, log: Path) -> AsyncGenerator[Mapping[str, Any], Any]:
        trained.append(spec)
        yield {"type": "phase", "name": "exporting"}
        yield done(made)

    arn = create(inside, outputDataConfig={"s3Uri": "s3://inside/out"})
    with serving(inside, follow):
        # The model's folder is not there yet, which no attempt survives.
        until(lambda: _crashes(inside, arn) > 0)
        write(made)
        job = ended(inside, arn)
    assert job["status"] == "Completed"
    assert len(trained) == 1
    model = custom.find(inside.parts.database, number_of(arn))
    assert model is not None
    assert (model.name, model.kind, model.arn) == ("pebble", "imported", job["modelArn"])
    folder = custom.folder(tmp_path, model.id)
    assert (folder / model.file).read_text() == "tiny.gguf"
    assert [path.name for path in (folder / "model").iterdir()] == ["config.json"]


def _crashes(inside: Inside, arn: str) -> int:
    row = inside.parts.database.one("SELECT crashes FROM jobs WHERE id = ?", number_of(arn))
    assert row is not None
    return int(row["crashes"])


def test_a_training_that_fails_says_why(tmp_path: Path) -> None:
    inside = Inside(tmp_path, "")

    async def follow(spec: Path, log: Path) -> AsyncGenerator[Mapping[str, Any], Any]:
        yield {"type": "failed", "reason": "The loss is nan."}

    arn = create(inside)
    with serving(inside, follow):
        job = ended(inside, arn)
    assert (job["status"], job["failureMessage"]) == ("Failed", "The training failed. The loss is nan.")


def test_a_name_that_was_taken_meanwhile(tmp_path: Path) -> None:
    inside, made = Inside(tmp_path, ""), tmp_path / "made"
    write(made)

    async def follow(spec: Path, log: Path) -> AsyncGenerator[Mapping[str, Any], Any]:
        await asyncio.to_thread(taken)
        yield done(made)

    def taken() -> None:
        database = inside.parts.database
        found = custom.find(database, number_of(first))
        assert found is not None
        with database.transaction() as transaction:
            custom.add(
                transaction, replace(found, id="abcdefghijkl", arn=found.arn[:-12] + "abcdefghijkl", name="other")
            )

    async def at_once(spec: Path, log: Path) -> AsyncGenerator[Mapping[str, Any], Any]:
        yield done(made)

    first = create(inside)
    with serving(inside, at_once):
        assert ended(inside, first)["status"] == "Completed"
    second = create(inside, jobName="second", modelName="other")
    with serving(inside, follow):
        job = ended(inside, second)
    assert (job["status"], job["failureMessage"]) == ("Failed", "An imported model other exists already.")
    assert custom.find(inside.parts.database, number_of(second)) is None


def test_a_training_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    inside = Inside(tmp_path, "[customization]\nlongest_pretraining_hours = 2.0\n")
    closed = threading.Event()

    async def follow(spec: Path, log: Path) -> AsyncGenerator[Mapping[str, Any], Any]:
        try:
            yield {"type": "phase", "name": "training"}
            await asyncio.Event().wait()
        finally:
            closed.set()

    arn = create(inside)
    inside.later = timedelta(hours=1.9999)
    with serving(inside, follow):
        job = ended(inside, arn)
    assert job["status"] == "Failed"
    assert "more than 2 hours" in job["failureMessage"]
    assert closed.is_set()
