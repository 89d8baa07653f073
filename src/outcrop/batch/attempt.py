"""An attempt at a job that runs as a task on the server's loop: what its function sees, and what its supervisor sees."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import orjson

from outcrop.jobs import Job, Outcome
from outcrop.jobs.work import CHECKPOINT_BYTES, LINE_CHARACTERS
from outcrop.jobs.worker import BEATS_PER_LEASE

Tell = Callable[[Mapping[str, Any]], None]
Run = Callable[["Attempt"], Coroutine[Any, Any, Outcome]]

# A task that is cancelled ends at once, unless the loop itself hangs.
LONGEST_END_SECONDS = 30.0

logger = logging.getLogger("outcrop.batch")


class Attempt:
    """What `jobs.Work` is to a job in a process of its own. All of it is used on the loop.

    `number` is the fencing number: what the job writes elsewhere than in its checkpoint goes under a name that holds it.
    `changed` is set when the job is asked to stop, and by whoever else wants it to look again.
    """

    def __init__(self, job: Job, tell: Tell) -> None:
        self.job = job
        self.state: Any = job.state
        self.changed = asyncio.Event()
        self.stopping = job.status == "stopping"
        self._tell = tell
        self._kept = asyncio.Event()

    @property
    def number(self) -> int:
        return self.job.fence

    async def checkpoint(self, state: Any, done: float = 0, total: float | None = None) -> None:
        """Write down where the job is; returns when it is on disk. Whoever has lost the job is cancelled meanwhile."""
        size = len(orjson.dumps(state))
        if size > CHECKPOINT_BYTES:
            raise ValueError(f"A checkpoint of {size} bytes is too large; {CHECKPOINT_BYTES} is the most.")
        self._tell({"type": "progress", "done": done, "total": total, "metrics": {}})
        self._kept.clear()
        self._tell({"type": "checkpoint", "state": state})
        await self._kept.wait()
        self.state = state

    def progress(self, done: float, total: float | None, metrics: Mapping[str, float | None]) -> None:
        """Say how far it is; the newest one counts."""
        self._tell({"type": "progress", "done": done, "total": total, "metrics": metrics})

    def log(self, line: str) -> None:
        """Say a line to whoever watches."""
        self._tell({"type": "line", "line": line[:LINE_CHARACTERS]})

    def heard(self, message: Mapping[str, Any]) -> None:
        """What the supervisor says."""
        if message["type"] == "kept":
            self._kept.set()
        elif message["type"] == "stop":
            self.stopping = True
            self.changed.set()


class TaskProcess:
    """The supervisor's side: a `jobs.supervisor.Process`. Used by the supervisor's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, run: Run, job: Job, lease: float, tell: Tell) -> None:
        self._loop = loop
        self._run = run
        self._job = job
        self._beat_seconds = lease / BEATS_PER_LEASE
        self._tell = tell
        self._attempt: Attempt | None = None
        self._task: asyncio.Task[None] | None = None
        self._gone = threading.Event()
        self._on_loop(self._begin)

    def send(self, message: Mapping[str, Any]) -> None:
        self._on_loop(self._hear, message)

    def ended(self) -> str | None:
        return "its task was cancelled" if self._gone.is_set() else None

    def kill(self) -> None:
        if self._on_loop(self._cancel):
            self._gone.wait(LONGEST_END_SECONDS)

    def _on_loop(self, call: Callable[..., None], *arguments: object) -> bool:
        """False where the loop has ended, and all its tasks with it."""
        try:
            self._loop.call_soon_threadsafe(call, *arguments)
        except RuntimeError:
            return False
        return True

    def _begin(self) -> None:
        self._attempt = Attempt(self._job, self._tell)
        self._task = self._loop.create_task(self._work(self._attempt))
        self._task.add_done_callback(lambda _: self._gone.set())

    def _hear(self, message: Mapping[str, Any]) -> None:
        if self._attempt is not None:
            self._attempt.heard(message)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _work(self, attempt: Attempt) -> None:
        """Stays when it has told how the job ended: the supervisor ends it once it has written that down."""
        beat = asyncio.create_task(self._beat())
        try:
            self._tell(await self._outcome(attempt))
            await asyncio.Event().wait()
        finally:
            beat.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await beat

    async def _outcome(self, attempt: Attempt) -> Mapping[str, Any]:
        try:
            outcome = await self._run(attempt)
        except Exception as problem:
            logger.exception("job %s crashed", self._job.id)
            return {"type": "crash", "problem": f"it raised {type(problem).__name__}: {problem}".partition("\n")[0]}
        return {"type": "outcome", "status": outcome.status, "result": outcome.result, "reason": outcome.reason}

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._beat_seconds)
            self._tell({"type": "beat"})
