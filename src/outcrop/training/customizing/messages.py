"""What the process says: JSON lines for the program that started it, a bar for a person who did."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from outcrop.training import parallel

Tell = Callable[[dict[str, Any]], None]


def phase(name: str) -> dict[str, Any]:
    return {"type": "phase", "name": name}


def line(text: str) -> dict[str, Any]:
    return {"type": "line", "text": text}


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
