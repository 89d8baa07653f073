"""Keeps one engine process alive: starts it, waits until it is ready, starts it again with back-off, ends it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from outcrop.engines.engine import EngineFailed

State = Literal["idle", "starting", "ready", "failed"]

FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 60.0
# A process that lived this long has recovered from whatever ended the one before it.
HEALTHY_SECONDS = 60.0
STOP_SECONDS = 5.0
# A request waits for a start that is this near; otherwise it is told to come again.
WORTH_WAITING_SECONDS = 2.0

logger = logging.getLogger("outcrop.engines")


@dataclass(frozen=True, slots=True)
class Launch:
    """`is_ready` is asked every few milliseconds while the process lives; `log` gets what the process prints."""

    arguments: Sequence[str]
    environment: Mapping[str, str]
    is_ready: Callable[[], Awaitable[bool]]
    log: Path
    seconds: float


class Supervisor:
    """One process. `start` is idempotent, and many may wait in it at once."""

    def __init__(self, name: str, launch: Callable[[], Launch]) -> None:
        self._name = name
        self._launch = launch
        self._process: subprocess.Popen[bytes] | None = None
        self._starting: asyncio.Task[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._failures = 0
        self._next_start = 0.0
        self.state: State = "idle"
        self.problem = ""
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    async def start(self) -> None:
        """Return when the process is ready. EngineFailed if it cannot be started, or failed a moment ago."""
        if self._starting is None and 0 < self._wait() < WORTH_WAITING_SECONDS:
            await asyncio.sleep(self._wait())
        if self.state == "ready":
            return
        if self._starting is None:
            if (wait := self._wait()) > 0:
                raise EngineFailed(f"{self._name} failed and is started again in {wait:.1f} s: {self.problem}")
            # Said at once, not when the task first runs: others count what is starting as taken memory.
            self.state = "starting"
            self._starting = asyncio.create_task(self._start())
        # Shielded: the start goes on for the others when one who waits for it goes away.
        await asyncio.shield(self._starting)

    def _wait(self) -> float:
        """Seconds until the next start may be tried."""
        return self._next_start - time.monotonic() if self.state == "failed" else 0.0

    async def stop(self) -> None:
        """End the process. Whoever calls `start` from now on gets a new one."""
        tasks = [task for task in (self._watcher, self._starting) if task is not None]
        process = self._process
        self._watcher = self._starting = self._process = None
        self.state = "idle"
        self._failures, self._next_start = 0, 0.0
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if process is not None:
            await _end(process)

    async def _start(self) -> None:
        began = time.monotonic()
        try:
            launch = self._launch()
            self._process = await asyncio.to_thread(_spawn, launch)
            await self._until_ready(launch, self._process)
        except Exception as problem:
            process, self._process = self._process, None
            if process is not None:
                await _end(process)
            self._failed(str(problem))
            if isinstance(problem, EngineFailed):
                raise
            raise EngineFailed(f"{self._name} could not be started: {problem}") from problem
        finally:
            if self._starting is asyncio.current_task():
                self._starting = None
        self.state = "ready"
        logger.info("%s is ready after %.1f s", self._name, time.monotonic() - began)
        self._watcher = asyncio.create_task(self._watch(self._process))

    async def _until_ready(self, launch: Launch, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + launch.seconds
        pause = 0.005
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise EngineFailed(f"{self._name} ended with {process.returncode} while starting.\n{_tail(launch.log)}")
            if await launch.is_ready():
                return
            await asyncio.sleep(pause)
            pause = min(pause * 1.2, 0.25)
        raise EngineFailed(f"{self._name} was not ready within {launch.seconds:g} s.\n{_tail(launch.log)}")

    async def _watch(self, process: subprocess.Popen[bytes]) -> None:
        began = time.monotonic()
        await _exited(process)
        if time.monotonic() - began > HEALTHY_SECONDS:
            self._failures = 0
        self._process = None
        self._failed(f"it ended with {process.returncode}")
        logger.error("%s ended with %s", self._name, process.returncode)
        while self.state == "failed":
            await asyncio.sleep(max(0.0, self._next_start - time.monotonic()))
            self.restarts += 1
            with contextlib.suppress(EngineFailed):
                await self.start()

    def _failed(self, problem: str) -> None:
        self.state, self.problem = "failed", problem.partition("\n")[0]
        backoff = min(FIRST_BACKOFF_SECONDS * 2**self._failures, LONGEST_BACKOFF_SECONDS)
        self._failures += 1
        self._next_start = time.monotonic() + backoff


def _spawn(launch: Launch) -> subprocess.Popen[bytes]:
    launch.log.parent.mkdir(parents=True, exist_ok=True)
    with launch.log.open("wb") as log:
        # Its standard input ends when this process does, however that ends: engines watch it.
        return subprocess.Popen(  # noqa: S603 - the operator's settings name the program
            list(launch.arguments),
            env={**os.environ, **launch.environment},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


async def _exited(process: subprocess.Popen[bytes]) -> None:
    """Wakes up when the process ends: by its descriptor on Linux, by a thread elsewhere."""
    if sys.platform == "linux":
        try:
            descriptor = os.pidfd_open(process.pid)
        except OSError:
            process.wait()
            return
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        process.wait()
        return
    await asyncio.to_thread(process.wait)


async def _end(process: subprocess.Popen[bytes]) -> None:
    """The whole process group: politely, then for good."""
    if process.stdin is not None:
        process.stdin.close()
    for kind in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, kind)
        try:
            await asyncio.to_thread(process.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return


def _tail(log: Path, lines: int = 15) -> str:
    """The end of the log, for the operator; the first line of an error is all that callers see."""
    try:
        return "\n".join(log.read_text("utf-8", "replace").splitlines()[-lines:])
    except OSError:
        return ""
