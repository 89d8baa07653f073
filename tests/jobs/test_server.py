"""The whole application runs jobs from its start to its end, and a server that is killed loses none."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from outcrop.app import App
from outcrop.encryption.keys import attached
from outcrop.jobs import kinds
from outcrop.settings import JobSettings, Settings, SettingsError, load
from outcrop.store.database import Database
from tests.jobs import sample
from tests.jobs.sample import ended, look, make, until
from tests.stores import settings_of, store_at


@pytest.fixture
def counting() -> Iterator[None]:
    kinds.register(sample.kind(sample.count))
    yield
    del kinds._KINDS["count"]


async def lifespan(app: App, during: Any) -> None:
    """What an ASGI server does at start and end."""
    inbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    outbox: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    task = asyncio.create_task(app({"type": "lifespan"}, inbox.get, outbox.put))  # type: ignore[arg-type]  # plain dicts
    await inbox.put({"type": "lifespan.startup"})
    assert (await outbox.get())["type"] == "lifespan.startup.complete"
    await asyncio.to_thread(during)
    await inbox.put({"type": "lifespan.shutdown"})
    assert (await outbox.get())["type"] == "lifespan.shutdown.complete"
    await task


@pytest.mark.usefixtures("counting")
def test_the_application_runs_jobs_while_it_lives(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text("house_model = false\n" + settings_of(store_at(tmp_path)))
    settings = load(tmp_path / "settings.toml")
    database = Database.open(store_at(tmp_path))
    attached(settings, database, tmp_path)
    done = make(database, "count", {"to": 2})
    # Jobs of one millisecond are taken in any order, and this one is to be the second.
    time.sleep(0.01)
    unfinished = make(database, "count", {"to": 1000, "pause": 0.05})
    app = App(settings, tmp_path)

    def during() -> None:
        ended(database, done)
        until(lambda: look(database, unfinished).state, "the second never began")

    asyncio.run(lifespan(app, during))
    left = look(database, unfinished)
    assert (left.status, left.holder, left.crashes) == ("running", None, 0)
    database.close()


def test_a_number_of_jobs_is_not_negative(tmp_path: Path) -> None:
    assert Settings().jobs == JobSettings()
    for text in ("[jobs]\nat_once = -1", "[jobs]\nlimits = {training = -1}"):
        (tmp_path / "settings.toml").write_text(text)
        with pytest.raises(SettingsError, match="a number of jobs is 0 or more"):
            load(tmp_path / "settings.toml")


def test_a_kind_has_one_meaning() -> None:
    kind = sample.kind(sample.refuse)
    try:
        assert kinds.register(kind) is kinds.register(kind)
        with pytest.raises(ValueError, match="Two kinds of jobs are called refuse"):
            kinds.register(sample.kind(sample.refuse, at_once=7))
    finally:
        del kinds._KINDS["refuse"]


WORKER = b"outcrop.jobs.worker"
SERVER = """
import sys, time
from pathlib import Path
from outcrop.store.database import Database
from tests.jobs import sample
with sample.serving(Database.open(sys.argv[1]), Path(sys.argv[2]), sample.kind(sample.count)):
    time.sleep(600)
"""


def test_a_killed_server_takes_its_processes_along_and_another_goes_on(tmp_path: Path) -> None:
    where = store_at(tmp_path)
    database = Database.open(where)
    job = make(database, "count", {"to": 10, "pause": 0.1})
    code = SERVER if isinstance(where, str) else SERVER.replace("sys.argv[1]", "Path(sys.argv[1])")
    with subprocess.Popen([sys.executable, "-c", code, str(where), str(tmp_path)], start_new_session=True) as server:
        try:
            until(lambda: (look(database, job).done or 0) >= 3, "it never got to step 3")
            (worker,) = workers_of(server.pid)
        finally:
            os.kill(server.pid, signal.SIGKILL)
    until(lambda: WORKER not in command_of(worker), "its process outlived it")
    killed = look(database, job)
    with sample.serving(database, tmp_path, sample.kind(sample.count)):
        done = ended(database, job)
    assert (killed.status, done.status) == ("running", "completed")
    assert done.result["steps"] == list(range(1, 11))
    assert set(done.result["attempts"]) == {1, 2}
    database.close()


def workers_of(server: int) -> list[int]:
    """Processes of jobs that a server has started."""
    tasks = Path(f"/proc/{server}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split() if WORKER in command_of(int(child))]


def command_of(process: int) -> bytes:
    """Empty once it is gone."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""
