"""One attempt at a job: its process, and what the supervisor remembers of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from outcrop.jobs import claims
from outcrop.jobs.claims import Hold, Progress
from outcrop.jobs.job import Job, to_json
from outcrop.jobs.kinds import Kind
from outcrop.jobs.work import Outcome


class Process(Protocol):
    """A job's process. One that could not be started has ended."""

    def send(self, message: Mapping[str, Any]) -> None:
        """Never blocks and never fails; a process that is gone gets nothing."""

    def ended(self) -> str | None:
        """How it ended, in words; None while it lives."""

    def kill(self) -> None:
        """With all that it started; returns when it is gone. May be said twice."""


Start = Callable[[Job, Kind], Process]


@dataclass(slots=True)
class Attempt:
    """What the supervisor remembers of a job that it holds. Moments are on its monotonic clock.

    `checkpoint` is one that could not be written yet, `ending` how it ended where that could not: an outcome, or a crash
    in words.
    """

    job: Job
    kind: Kind
    process: Process
    lease_ends: float
    heard_at: float
    moved_at: float
    crashes: int
    stop_by: float | None = None
    progress: Progress | None = None
    lines: deque[tuple[int, datetime, str]] = field(default_factory=lambda: deque(maxlen=claims.KEPT_LINES))
    line_number: int = 0
    checkpoint: Mapping[str, Any] | None = None
    ending: Outcome | str | None = None

    @property
    def hold(self) -> Hold:
        return Hold(self.job.id, self.job.fence)

    def hear(self, message: Mapping[str, Any], now: float, clock: Callable[[], datetime]) -> None:
        """Remember what its process says. What could not be written is refused here, where it hurts no other job.

        Raises KeyError, TypeError or ValueError for what is no message.
        """
        self.heard_at = now
        if message["type"] != "beat":
            self.moved_at = now
        match message["type"]:
            case "progress":
                total = message["total"]
                metrics = {str(name): float(value) for name, value in message["metrics"].items() if value is not None}
                self.progress = Progress(float(message["done"]), None if total is None else float(total), metrics)
            case "line":
                self.line_number += 1
                self.lines.append((self.line_number, clock(), _writable(message["line"])))
            case "checkpoint":
                to_json(message["state"])
                self.checkpoint = message
            case "outcome":
                to_json([message["result"], message["reason"]])
                self.ending = Outcome(message["status"], message["result"], message["reason"])
            case "crash":
                self.ending = _writable(message["problem"])

    def said(self) -> None:
        """Its progress and lines are on disk."""
        self.progress = None
        self.lines.clear()


def _writable(text: Any) -> str:
    """Half a pair of surrogates is no text that can be stored; TypeError for what is no text at all."""
    if not isinstance(text, str):
        raise TypeError(f"a {type(text).__name__} is no text")
    return text.encode("utf-8", "replace").decode()
