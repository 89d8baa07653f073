"""The thread in which a server runs jobs."""

from __future__ import annotations

import dataclasses
import logging
import os
import secrets
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any

from outcrop.jobs.claims import Hold
from outcrop.jobs.kinds import Kind, registered
from outcrop.jobs.processes import Processes
from outcrop.jobs.supervisor import Supervisor, Timing
from outcrop.store.database import Database

logger = logging.getLogger("outcrop.jobs")


class Service:
    """Starts with the server and ends with it. `limits` say how many of a kind run at once, where not the kind itself."""

    def __init__(
        self,
        database: Database,
        logs: Path,
        *,
        at_once: int,
        clock: Callable[[], datetime],
        limits: Mapping[str, int] | None = None,
        timing: Timing | None = None,
        kinds: Mapping[str, Kind] | None = None,
    ) -> None:
        self._database = database
        self._logs = logs
        self._at_once = at_once
        self._clock = clock
        self._timing = timing or Timing()
        self._kinds = _limited(registered() if kinds is None else kinds, limits or {})
        self._closing = threading.Event()
        self._processes: Processes | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Nothing is started where no room has jobs, or the settings leave them to other servers."""
        if not self._kinds or self._at_once == 0:
            return
        self._processes = processes = Processes(self._logs, self._timing.lease, self._database.seals)
        supervisor = Supervisor(
            self._database,
            self._kinds,
            processes.start,
            name=f"{socket.gethostname()}:{os.getpid()}",
            at_once=self._at_once,
            clock=self._clock,
            monotonic=time.monotonic,
            random=Random(secrets.randbits(64)),  # noqa: S311 - only for pauses
            timing=self._timing,
        )
        self._thread = threading.Thread(target=self._run, args=(supervisor, processes), name="jobs", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the processes of all jobs and gives the jobs back; they go on from their last checkpoint."""
        self._closing.set()
        if self._thread is not None and self._processes is not None:
            self._processes.wake()
            self._thread.join()
            self._processes.close()

    def _run(self, supervisor: Supervisor, processes: Processes) -> None:
        due = time.monotonic()
        unheard: deque[tuple[Hold, Mapping[str, Any]]] = deque()
        while not self._closing.is_set():
            try:
                messages, ended = processes.receive(0.0 if unheard else due - time.monotonic())
                unheard.extend(messages)
                while unheard:
                    supervisor.heard(*unheard.popleft())
                if ended or time.monotonic() >= due:
                    supervisor.tick()
                    due = time.monotonic() + self._timing.tick
            except Exception:
                # What goes wrong with one job must not end all of them; leases run out if it goes on.
                logger.exception("unhandled while running jobs")
                due = time.monotonic() + self._timing.tick
                self._closing.wait(0.1)
        supervisor.close()


def _limited(kinds: Mapping[str, Kind], limits: Mapping[str, int]) -> dict[str, Kind]:
    return {name: dataclasses.replace(kind, at_once=limits.get(name, kind.at_once)) for name, kind in kinds.items()}
