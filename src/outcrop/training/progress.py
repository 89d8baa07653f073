"""Where a run is, and what it writes about it: metrics as Bedrock writes them, and a plot of the loss."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from outcrop.training.batches import Position


@dataclass(frozen=True, slots=True)
class Progress:
    """What the data and the schedule depend on, and how it went. JSON.

    `loss` is the last step's, by counted token; `seconds` those spent in steps; `speed` tokens a second in the last step;
    `mfu` the share of the device's arithmetic that was used for the model. `notes`: whatever else must survive a restart.
    """

    step: int = 0
    epoch: int = 0
    tokens: int = 0
    position: Position = (0, 0)
    seconds: float = 0.0
    loss: float = math.nan
    speed: float = 0.0
    mfu: float = 0.0
    notes: dict[str, Any] = field(default_factory=dict)


class Metrics:
    """A CSV file of a row for each step: step_number, epoch_number, KIND_loss, perplexity."""

    def __init__(self, path: Path, kind: str) -> None:
        self.path = path
        self._columns = ("step_number", "epoch_number", f"{kind}_loss", "perplexity")

    def append(self, step: int, epoch: int, loss: float) -> None:
        new = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(self._columns)
            writer.writerow([step, epoch, f"{loss:.8f}", f"{math.exp(min(loss, 700)):.6f}"])

    def forget_after(self, step: int) -> None:
        """Rows that an interrupted run wrote after its last checkpoint are trained, and written, again."""
        if self.path.exists():
            head, *rows = self.path.read_text().splitlines(keepends=True)
            kept = [row for row in rows if row.endswith("\n") and int(row.split(",")[0]) <= step]
            self.path.write_text("".join([head, *kept]) if kept else "")
            if not kept:
                self.path.unlink()

    def points(self) -> list[tuple[int, float]]:
        """(step, loss)"""
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return [(int(row[0]), float(row[2])) for row in list(csv.reader(file))[1:]]
