"""Real processes for jobs, and their messages as they come."""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from outcrop.jobs.claims import Hold
from outcrop.jobs.job import Job
from outcrop.jobs.kinds import Kind

READ_BYTES = 256 * 1024
# A line of a worker is a checkpoint at most; more without an end is no message.
MESSAGE_BYTES = 4 * 1024 * 1024

logger = logging.getLogger("outcrop.jobs")


class WorkerProcess:
    """A job's process, its socket, and its log: what it prints, kept if it crashes."""

    def __init__(
        self,
        child: subprocess.Popen[bytes],
        connection: socket.socket,
        log: Path,
        forget: Callable[[socket.socket], None],
    ) -> None:
        self._child = child
        self._log = log
        self._forget = forget
        self._buffer = bytearray()
        self._killed = False
        self.connection = connection

    @property
    def pid(self) -> int:
        return self._child.pid

    def send(self, message: Mapping[str, Any]) -> None:
        line = orjson.dumps(message) + b"\n"
        # Not blocking: these are few and small, so one that does not fit goes to a process that has stopped reading.
        with contextlib.suppress(OSError):
            self.connection.send(line)

    def ended(self) -> str | None:
        code = self._child.poll()
        if code is None:
            return None
        how = f"it was killed by {signal.Signals(-code).name}" if code < 0 else f"it ended with status {code}"
        said = _last_line(self._log)
        return f"{how} ({said})" if said else how

    def kill(self) -> None:
        # Once only: later, the number may be that of another process.
        if self._killed:
            return
        self._killed = True
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()
        self._forget(self.connection)
        self.connection.close()
        with contextlib.suppress(OSError):
            if self._log.stat().st_size == 0:
                self._log.unlink()

    def messages(self) -> Iterator[Mapping[str, Any]]:
        """Those that have come, without waiting; ConnectionError at the end."""
        try:
            got = self.connection.recv(READ_BYTES)
        except BlockingIOError:
            return
        self._buffer += got
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            yield orjson.loads(line)
        if not got or len(self._buffer) > MESSAGE_BYTES:
            raise ConnectionError


class NotStarted:
    """A process that could not be started."""

    def __init__(self, problem: str) -> None:
        self._problem = problem

    def send(self, message: Mapping[str, Any]) -> None:
        pass

    def ended(self) -> str:
        return self._problem

    def kill(self) -> None:
        pass


class Processes:
    """Starts them and waits for any of them. Used by one thread; `wake` by any."""

    def __init__(self, logs: Path, lease: float) -> None:
        self._logs = logs
        self._lease = lease
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ)

    def start(self, job: Job, kind: Kind) -> WorkerProcess | NotStarted:
        try:
            process = self._spawn(job, kind)
        except OSError as problem:
            return NotStarted(f"its process could not be started: {problem}")
        self._selector.register(process.connection, selectors.EVENT_READ, (Hold(job.id, job.fence), process))
        return process

    def receive(self, seconds: float) -> tuple[list[tuple[Hold, Mapping[str, Any]]], bool]:
        """Messages, after at most so many seconds, and whether a process has ended."""
        found: list[tuple[Hold, Mapping[str, Any]]] = []
        ended = False
        for key, _ in self._selector.select(max(0.0, seconds)):
            if key.data is None:
                self._woken.recv(READ_BYTES)
                continue
            hold, process = key.data
            try:
                found.extend((hold, message) for message in process.messages())
            except (OSError, orjson.JSONDecodeError):
                self._forget(process.connection)
                ended = True
        return found, ended

    def wake(self) -> None:
        self._waker.send(b"w")

    def close(self) -> None:
        self._selector.close()
        self._woken.close()
        self._waker.close()

    def _forget(self, connection: socket.socket) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(connection)

    def _spawn(self, job: Job, kind: Kind) -> WorkerProcess:
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{job.id}.log"
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs, tempfile.TemporaryFile() as given, log.open("wb") as printed:
            given.write(_given(job, kind, self._lease))
            given.seek(0)
            try:
                child = subprocess.Popen(  # noqa: S603 - our own module
                    [sys.executable, "-m", "outcrop.jobs.worker", str(theirs.fileno())],
                    stdin=given,
                    stdout=printed,
                    stderr=printed,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                raise
        return WorkerProcess(child, ours, log, self._forget)


def _given(job: Job, kind: Kind, lease: float) -> bytes:
    return orjson.dumps(
        {
            "run": kind.run,
            "id": job.id,
            "account": job.account,
            "region": job.region,
            "input": job.input,
            "state": job.state,
            "attempt": job.fence,
            "stopping": job.status == "stopping",
            "lease": lease,
        }
    )


def _last_line(log: Path) -> str:
    """The last thing a process printed, which for one that crashed is mostly the reason."""
    try:
        printed = log.read_bytes()[-4096:].decode("utf-8", "replace").strip()
    except OSError:
        return ""
    return printed.rpartition("\n")[2].strip()[:300]
