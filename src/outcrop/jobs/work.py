"""What a job's own function sees: `run(work: Work) -> Outcome`."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import orjson

# Larger things go where objects are kept, under a name that holds `work.attempt`; the checkpoint holds the name.
CHECKPOINT_BYTES = 1024 * 1024
LINE_CHARACTERS = 2000
PROGRESS_SECONDS = 0.2


class Lost(BaseException):
    """Somebody else holds the job now. Not an Exception: a job's own `except Exception` must not swallow it."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended. Made by `completed`, `failed` or `stopped`."""

    status: Literal["completed", "failed", "stopped"]
    result: Any = None
    reason: str | None = None


def completed(result: Any = None) -> Outcome:
    return Outcome("completed", result)


def failed(reason: str, result: Any = None) -> Outcome:
    """Failed for good; a crash, which any exception is, would be tried again."""
    return Outcome("failed", result, reason)


def stopped(result: Any = None) -> Outcome:
    """As asked by `work.stopping()`; `result` says what there is of partial output."""
    return Outcome("stopped", result)


class Channel(Protocol):
    """The way to whoever holds the job."""

    def tell(self, message: Mapping[str, Any]) -> None:
        """Say without waiting."""

    def ask(self, message: Mapping[str, Any]) -> None:
        """Say, and return when it is written down. Lost if it was refused."""

    def stopping(self) -> bool: ...


class Work:
    """One attempt at a job of an account in a region. `input` is what it was created with, `state` its last checkpoint or
    None: JSON values.

    `attempt` is the fencing number: no other attempt at this job has or will have it. Whatever the job writes elsewhere
    than in its checkpoint goes under a name that holds it, and counts once a checkpoint or the outcome names it. So an
    attempt that goes on after it was given up spoils nothing.
    """

    def __init__(
        self,
        job_id: str,
        input_: Any,
        state: Any,
        attempt: int,
        channel: Channel,
        *,
        account: str,
        region: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = job_id
        self.account = account
        self.region = region
        self.input = input_
        self.state = state
        self.attempt = attempt
        self._channel = channel
        self._monotonic = monotonic
        self._progress: dict[str, Any] | None = None
        self._progress_told = float("-inf")

    def checkpoint(self, state: Any) -> None:
        """Write down where the job is; returns when it is on disk. ValueError if it is larger than CHECKPOINT_BYTES."""
        size = len(orjson.dumps(state))
        if size > CHECKPOINT_BYTES:
            raise ValueError(f"A checkpoint of {size} bytes is too large; {CHECKPOINT_BYTES} is the most.")
        self.flush()
        self._channel.ask({"type": "checkpoint", "state": state})
        self.state = state

    def progress(self, done: float, total: float | None = None, **metrics: float) -> None:
        """Say how far it is, in any unit. Cheap: call it at each step, and the newest one counts."""
        told = {name: float(value) for name, value in metrics.items()}
        left = None if total is None else float(total)
        self._progress = {"type": "progress", "done": float(done), "total": left, "metrics": told}
        if self._monotonic() - self._progress_told >= PROGRESS_SECONDS:
            self.flush()

    def log(self, line: str) -> None:
        """Say a line to whoever watches."""
        text = line.encode("utf-8", "replace").decode()
        self._channel.tell({"type": "line", "line": text[:LINE_CHARACTERS]})

    def stopping(self) -> bool:
        """Whether to stop: ask often, keep what there is, return `stopped(...)` within a few seconds."""
        return self._channel.stopping()

    def flush(self) -> None:
        """Say the progress that was held back."""
        if self._progress is not None:
            self._channel.tell(self._progress)
            self._progress, self._progress_told = None, self._monotonic()
