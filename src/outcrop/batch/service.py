"""The thread that claims jobs which run as tasks on the server's loop, and writes down what they say."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from random import Random
from typing import Any

from outcrop.batch.attempt import Run, TaskProcess
from outcrop.jobs import Job, Kind
from outcrop.jobs.claims import Hold
from outcrop.jobs.supervisor import Supervisor, Timing
from outcrop.store.database import Database

# A job that is asked to stop writes out what it has, which may be gigabytes.
TIMING = Timing(tick=0.5, stop=120.0)

logger = logging.getLogger("outcrop.batch")


class Service:
    """Starts with the server and ends with it. `runs`: kind of job → its function. Such kinds are not registered with
    `jobs`, whose own service would start processes for them. `kinds`: what one says of itself, where not the usual.
    """

    def __init__(
        self,
        database: Database,
        runs: Mapping[str, Run],
        *,
        at_once: int,
        clock: Callable[[], datetime],
        timing: Timing = TIMING,
        kinds: Mapping[str, Kind] | None = None,
    ) -> None:
        self._runs = runs
        self._timing = timing
        self._at_once = at_once
        self._inbox: queue.SimpleQueue[tuple[Hold, Mapping[str, Any]] | None] = queue.SimpleQueue()
        self._supervisor = Supervisor(
            database,
            {name: Kind(name, f"a task of the server: {name}", at_once=at_once) for name in runs} | dict(kinds or {}),
            self._begin,
            name=f"{socket.gethostname()}:{os.getpid()}",
            at_once=at_once,
            clock=clock,
            monotonic=time.monotonic,
            random=Random(secrets.randbits(64)),  # noqa: S311 - only for pauses
            timing=timing,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """On the loop that the jobs shall run on. Nothing is started where the settings leave jobs to other servers."""
        if self._at_once > 0:
            self._loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._serve, name="batch", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Ends all tasks and gives the jobs back; they go on from their last checkpoint. Not on the loop, which it needs."""
        self._closing.set()
        self._inbox.put(None)
        if self._thread is not None:
            self._thread.join()

    def _begin(self, job: Job, kind: Kind) -> TaskProcess:
        assert self._loop is not None
        hold = Hold(job.id, job.fence)
        return TaskProcess(
            self._loop, self._runs[kind.name], job, self._timing.lease, lambda message: self._inbox.put((hold, message))
        )

    def _serve(self) -> None:
        due = time.monotonic()
        while not self._closing.is_set():
            try:
                self._listen(max(0.0, due - time.monotonic()))
                if time.monotonic() >= due:
                    self._supervisor.tick()
                    due = time.monotonic() + self._timing.tick
            except Exception:
                # What goes wrong with one job must not end all of them; leases run out if it goes on.
                logger.exception("unhandled while running jobs")
                due = time.monotonic() + self._timing.tick
                self._closing.wait(0.1)
        self._supervisor.close()

    def _listen(self, seconds: float) -> None:
        try:
            said = self._inbox.get(timeout=seconds)
        except queue.Empty:
            return
        if said is not None:
            self._supervisor.heard(*said)
