"""All records of a job, asked a window at a time and written in the order of the input.

Records are asked as they come, over the borders of files, and their answers wait in the window for those before them. What
is done is written as a part every few seconds, beside the asking, and a checkpoint names it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Protocol

from outcrop.batch import inputs
from outcrop.batch.asking import Written
from outcrop.batch.attempt import Attempt
from outcrop.batch.inputs import InputFile, Line, Record
from outcrop.batch.output import Output
from outcrop.batch.pace import Pace
from outcrop.batch.progress import Progress
from outcrop.objects.objects import Objects

# How far answers may run ahead of the first that is not there: records, and bytes of what they were given.
WINDOW_RECORDS, WINDOW_BYTES = 1024, 64 * 1024 * 1024
# What a part holds at most, and how long it may wait to be written.
PART_LINES, PART_BYTES, PART_SECONDS = 5000, 16 * 1024 * 1024, 3.0
# Lines fetched at a time, in a thread.
FETCHED_LINES = 64
LOOK_SECONDS = 0.25


class Asks(Protocol):
    async def written(self, record: Record, place: str) -> Written: ...


@dataclass(slots=True)
class _Asked:
    """A record in the window."""

    file: int
    line: Line
    task: asyncio.Task[Written]


class Answering:
    def __init__(
        self,
        attempt: Attempt,
        objects: Objects,
        output: Output,
        files: list[InputFile],
        progress: Progress,
        asks: Asks,
        pace: Pace,
        over: Callable[[], bool],
    ) -> None:
        self._attempt = attempt
        self._output = output
        self._files = files
        self._progress = progress
        self._asks = asks
        self._pace = pace
        self._over = over
        self._source = _records(objects, files, progress)
        self._fetched: deque[tuple[int, Line]] = deque()
        self._exhausted = False
        self._window: deque[_Asked] = deque()
        self._window_bytes = 0
        self._in_flight = 0
        self._done: list[tuple[int, Line, Written]] = []
        self._done_bytes = 0
        self._kept_at = time.monotonic()

    async def all(self) -> bool:
        """False if it had to end before: then what was answered so far is in parts too."""
        look = asyncio.create_task(self._look())
        keeper: asyncio.Task[None] | None = None
        try:
            while True:
                self._attempt.changed.clear()
                self._drain()
                if keeper is not None and keeper.done():
                    keeper.result()
                    keeper = None
                if keeper is None and self._due():
                    keeper = asyncio.create_task(self._keep())
                if self._over() or (self._exhausted and not self._window):
                    break
                if not await self._ask_next():
                    await self._attempt.changed.wait()
            if keeper is not None:
                await keeper
            whole = self._exhausted and not self._window
            if not whole:
                self._take_what_is_done()
            await self._keep()
            return whole
        finally:
            await _end([look, *([keeper] if keeper else []), *(asked.task for asked in self._window)])

    async def _ask_next(self) -> bool:
        """Whether there was room for one more, and one."""
        room = len(self._window) < WINDOW_RECORDS and self._window_bytes < WINDOW_BYTES
        if self._exhausted or not room or self._in_flight >= self._pace.limit:
            return False
        if not self._fetched:
            self._fetched.extend(await asyncio.to_thread(lambda: list(islice(self._source, FETCHED_LINES))))
        if not self._fetched:
            self._exhausted = True
            return False
        file, line = self._fetched.popleft()
        task = asyncio.create_task(self._asks.written(inputs.record(line), f"{self._files[file].name} {line.number}"))
        task.add_done_callback(self._answered)
        self._in_flight += 1
        self._window_bytes += len(line.text)
        self._window.append(_Asked(file, line, task))
        return True

    def _answered(self, _: asyncio.Task[Written]) -> None:
        self._in_flight -= 1
        self._attempt.changed.set()

    def _drain(self) -> None:
        """What is done at the front of the window."""
        while self._window and self._window[0].task.done():
            self._take(self._window.popleft())

    def _take_what_is_done(self) -> None:
        """Wherever it stands: there is no going on behind it."""
        for asked in [asked for asked in self._window if asked.task.done()]:
            self._window.remove(asked)
            self._take(asked)

    def _take(self, asked: _Asked) -> None:
        written = asked.task.result()
        self._window_bytes -= len(asked.line.text)
        self._done.append((asked.file, asked.line, written))
        self._done_bytes += len(written.line)

    def _due(self) -> bool:
        if not self._done:
            return False
        long = time.monotonic() - self._kept_at >= PART_SECONDS
        return long or len(self._done) >= PART_LINES or self._done_bytes >= PART_BYTES

    async def _keep(self) -> None:
        """Parts, then the checkpoint that names them; then the output of files that are whole, and another."""
        done, self._done, self._done_bytes, self._kept_at = self._done, [], 0, time.monotonic()
        progress = self._progress
        for file, group in groupby(done, key=lambda one: one[0]):
            lines = list(group)
            progress.parts += 1
            await asyncio.to_thread(self._output.write_part, progress.parts, [written.line for _, _, written in lines])
            progress.runs.add(file, self._attempt.number, progress.parts)
            for _, line, written in lines:
                _count(progress, written)
                progress.file, progress.line, progress.offset = file, line.number, line.end
        if done:
            await self._checkpoint()
        whole = range(progress.joined, progress.file)
        if whole:
            await self._join(whole)

    async def _join(self, whole: range) -> None:
        """A file is whole when a record of a later one is written; the last is joined at the end of the job."""
        progress = self._progress
        for file in whole:
            await asyncio.to_thread(self._output.join, file, self._files[file].name, progress.runs)
        joined, progress.runs, progress.joined = progress.runs, progress.runs.without(whole), whole.stop
        await self._checkpoint()
        for file in whole:
            await asyncio.to_thread(self._output.drop, file, joined)

    async def _checkpoint(self) -> None:
        progress = self._progress
        await self._attempt.checkpoint(progress.state("InProgress"), progress.processed, progress.total)

    async def _look(self) -> None:
        """Time passes without anything being done."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._attempt.changed.set()


def _records(objects: Objects, files: list[InputFile], progress: Progress) -> Iterator[tuple[int, Line]]:
    """All records behind the checkpoint, with the number of their file. Blocks."""
    for number in range(progress.file, len(files)):
        file = files[number]
        here = number == progress.file
        start, line = (progress.offset, progress.line) if here else (0, 0)
        for found in inputs.lines(objects, file.uri, file.size, file.etag, start, line):
            if found.text:
                yield number, found


def _count(progress: Progress, written: Written) -> None:
    progress.success += written.success
    progress.error += not written.success
    progress.input_tokens += written.input_tokens
    progress.output_tokens += written.output_tokens


async def _end(tasks: list[asyncio.Task[Written] | asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
