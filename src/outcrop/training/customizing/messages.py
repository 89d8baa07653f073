"""What the process says: JSON lines for the program that started it, a bar for a person who did."""

from __future__ import annotations

import json
import os
import queue
import stat
import sys
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from outcrop.training import parallel

Tell = Callable[[dict[str, Any]], None]


def phase(name: str) -> dict[str, Any]:
    return {"type": "phase", "name": name}


def line(text: str) -> dict[str, Any]:
    return {"type": "line", "text": text}


class Replies:
    """What the program that started this one says on standard input; when that ends, so does this process."""

    def __init__(self, failed: int) -> None:
        self._failed = failed
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._asked = 0
        self.there = False

    def listen(self) -> None:
        """If standard input is a pipe, whoever holds its other end is waited for; a terminal or a file may end as it likes."""
        kind = os.fstat(0).st_mode
        if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
            self.there = True
            threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        rest = b""
        while block := os.read(0, 65536):
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                self._lines.put(line)
        os._exit(self._failed)

    def rewards(self, tell: Tell, samples: Sequence[dict[str, Any]]) -> list[float]:
        """What the starting program finds the answers worth. ValueError if it says something else than so many numbers."""
        self._asked += 1
        tell({"type": "grade", "id": self._asked, "samples": list(samples)})
        answer = json.loads(self._lines.get())
        rewards = [float(reward) for reward in answer["rewards"]]
        if answer["id"] != self._asked or len(rewards) != len(samples):
            raise ValueError(f"{len(rewards)} rewards of question {answer['id']} for {len(samples)} answers")
        return rewards


class JsonLines:
    def __enter__(self) -> Tell:
        return self.tell

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def tell(self, message: dict[str, Any]) -> None:
        # Loss may be infinite, which JSON has no number for.
        print(json.dumps(message), flush=True)


class Bar:
    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(elapsed_when_finished=True),
        )  # fmt: skip
        self._task = self._bar.add_task("starting", total=None, told="")

    def __enter__(self) -> Tell:
        self._bar.start()
        return self.tell

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def tell(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "progress":
                told = "step {step}, loss {loss:.3f}, {tokens_per_second:.0f} tokens/s, MFU {mfu:.0%}".format(**message)
                self._bar.update(self._task, completed=message["step"], total=message["steps"], told=told)
            case "reward":
                self._bar.update(self._task, description="reward {reward:.3f}".format(**message))
            case "phase":
                self._bar.update(self._task, description=message["name"].replace("_", " "))
            case "validation":
                self._bar.print("step {step}: validation loss {loss:.4f}".format(**message))
            case "line":
                self._bar.print(message["text"])
            case "invalid":
                self._bar.print("The data was refused:", *message["problems"], sep="\n")
            case "failed":
                self._bar.print(message["reason"])
            case "done":
                self._bar.print(json.dumps(message["result"], indent=2))


class Silent(JsonLines):
    """For all processes but the first."""

    def tell(self, message: dict[str, Any]) -> None:
        pass


def reporter() -> JsonLines | Bar:
    if parallel.rank() != 0:
        return Silent()
    return Bar() if sys.stdout.isatty() else JsonLines()
