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
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, cast

import orjson

from outcrop.jobs.claims import Hold
from outcrop.jobs.job import Job, place
from outcrop.jobs.kinds import Kind
from outcrop.store.database import DatabaseError, IntegrityError
from outcrop.store.seals import Damaged, Seals, Unreadable, opened

READ_BYTES = 256 * 1024
# A line of a worker is a checkpoint at most; more without an end is no message.
MESSAGE_BYTES = 4 * 1024 * 1024
PRINTED_BYTES = 64 * 1024
# What the log is called where it is sealed.
LOG = "log"

logger = logging.getLogger("outcrop.jobs")


class Printed:
    """The end of what a process printed, in memory: it may hold what its input does, and so does not go to disk as it is."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self.descriptor = descriptor
        self._end = bytearray()

    def read(self) -> bool:
        """All that has come, without waiting; false at the end."""
        try:
            while got := os.read(self.descriptor, READ_BYTES):
                self._end += got
                del self._end[:-PRINTED_BYTES]
        except BlockingIOError:
            return True
        return False

    @property
    def text(self) -> str:
        return self._end.decode("utf-8", "replace")

    @property
    def last_line(self) -> str:
        """Which for a process that crashed is mostly the reason."""
        return self.text.strip().rpartition("\n")[2].strip()[:300]


class WorkerProcess:
    """A job's process, its socket, and what it prints, which `keep` gets if there is any."""

    def __init__(
        self,
        child: subprocess.Popen[bytes],
        connection: socket.socket,
        printed: Printed,
        forget: Callable[[socket.socket | int], None],
        keep: Callable[[str], None],
    ) -> None:
        self._child = child
        self._forget = forget
        self._keep = keep
        self.printed = printed
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
        self.printed.read()
        said = self.printed.last_line
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
        self.printed.read()
        self._forget(self.printed.descriptor)
        os.close(self.printed.descriptor)
        if self.printed.text:
            self._keep(self.printed.text)

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
    """Starts them and waits for any of them. Used by one thread; `wake` by any. `seals` encrypts what they print."""

    def __init__(self, logs: Path, lease: float, seals: Seals | None = None) -> None:
        self._logs = logs
        self._seals = seals
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
        self._selector.register(process.printed.descriptor, selectors.EVENT_READ, process.printed)
        return process

    def receive(self, seconds: float) -> tuple[list[tuple[Hold, Mapping[str, Any]]], bool]:
        """Messages, after at most so many seconds, and whether a process has ended."""
        found: list[tuple[Hold, Mapping[str, Any]]] = []
        ended = False
        for key, _ in self._selector.select(max(0.0, seconds)):
            if key.data is None:
                self._woken.recv(READ_BYTES)
                continue
            if isinstance(key.data, Printed):
                if not key.data.read():
                    self._forget(key.data.descriptor)
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

    def _forget(self, watched: socket.socket | int) -> None:
        with contextlib.suppress(KeyError):
            self._selector.unregister(watched)

    def _keep(self, job: Job, text: str) -> None:
        """In the job's log. What goes wrong with it is no reason to hold up jobs."""
        try:
            if self._seals is not None:
                text = self._seals.seal(None, job.account, job.region, text, place(job.id, LOG))
            self._logs.mkdir(parents=True, exist_ok=True)
            (self._logs / f"{job.id}.log").write_text(text)
        except (OSError, Unreadable, DatabaseError, IntegrityError) as problem:
            logger.warning("what job %s printed is not kept: %s", job.id, problem)

    def _spawn(self, job: Job, kind: Kind) -> WorkerProcess:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        reading, writing = os.pipe()
        with theirs, _in_memory() as given, os.fdopen(writing, "wb") as printed:
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
                os.close(reading)
                raise
        return WorkerProcess(child, ours, Printed(reading), self._forget, partial(self._keep, job))


def _in_memory() -> BinaryIO:
    """A file without a name; on Linux not on a disk either."""
    if sys.platform == "linux":
        return os.fdopen(os.memfd_create("job"), "w+b")
    return cast(BinaryIO, tempfile.TemporaryFile())


def printed_by(logs: Path, job: Job, seals: Seals | None) -> str:
    """What the job's process printed at last; empty where it printed nothing, or that cannot be read."""
    try:
        return opened(seals, (logs / f"{job.id}.log").read_text(), place(job.id, LOG))
    except (OSError, Unreadable, Damaged):
        return ""


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
