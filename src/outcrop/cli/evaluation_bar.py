"""How far an evaluation is, and how long it will still take."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from outcrop.evaluation.results import Record
from outcrop.jobs.remaining import Remaining, in_words


class Bar:
    """One for all runs. What is left goes by the answers that were asked for in this one, not by those that were known."""

    def __init__(self, runs: int) -> None:
        self._runs, self._begun = runs, 0
        self._remaining, self._total, self._asked, self._known, self._failed = Remaining(), 0, 0, 0, 0
        console = Console(stderr=True)
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[left]}")
        )  # fmt: skip
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("", total=None, left="")

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def begin(self, model: str, suite: str, total: int) -> None:
        self._begun += 1
        self._remaining, self._total, self._asked, self._known, self._failed = Remaining(), total, 0, 0, 0
        self._remaining.see(time.monotonic(), 0)
        which = f"{self._begun} of {self._runs}: " if self._runs > 1 else ""
        self._bar.reset(self._task, total=total, description=f"{which}{model}, {suite}", left="")

    def done(self, record: Record) -> None:
        self._known += record.cached
        self._asked += not record.cached
        self._failed += record.failure is not None
        self._bar.update(self._task, completed=self._asked + self._known, left=self.left(time.monotonic()))

    def left(self, now: float) -> str:
        """At that second of the monotonic clock."""
        self._remaining.see(now, self._asked)
        words = in_words(self._remaining.seconds(now, self._total - self._known))
        return f"{words}, {self._failed} failed" if self._failed else words
