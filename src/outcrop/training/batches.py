"""Rows of tokens as batches: of like length and padded for CPUs, packed into one fixed shape for accelerators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

IGNORED = -100
# Lengths are rounded up, so that few distinct shapes occur.
ROUND_TO = 16
# Where a source goes on: the epoch (or pool) and the step within it.
Position = tuple[int, int]


class Row(NamedTuple):
    """Token ids, and for each whether the loss counts it."""

    ids: NDArray[np.int64]
    counted: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Batch:
    """`inputs` and `targets` are (B, T); targets are -100 where the loss does not count. `tokens` are real, not padding.

    `documents` and `positions` (B, T) where rows share a line. `extras`: what else an objective wants of each batch.
    """

    inputs: Tensor
    targets: Tensor
    tokens: int
    documents: Tensor | None = None
    positions: Tensor | None = None
    extras: Mapping[str, Tensor] = field(default_factory=dict)

    def to(self, where: torch.device) -> Batch:
        return Batch(
            self.inputs.to(where),
            self.targets.to(where),
            self.tokens,
            None if self.documents is None else self.documents.to(where),
            None if self.positions is None else self.positions.to(where),
            {name: tensor.to(where) for name, tensor in self.extras.items()},
        )

    def blank(self) -> Batch:
        """The same shape, counting nothing: what a process computes that has no batch where others have one."""
        return replace(self, targets=torch.full_like(self.targets, IGNORED), tokens=0)


@dataclass(frozen=True, slots=True)
class Step:
    """The batches of one optimizer step, in order; `after` is where the next step begins. Epochs count from 1."""

    pieces: Sequence[Batch]
    after: Position
    epoch: int = 1
    ends_epoch: bool = False


class Source(Protocol):
    """Where steps come from. `steps(start)` gives exactly those that follow `start`, however often it is asked."""

    def steps(self, start: Position) -> Iterator[Step]: ...


def pieces(rows: Sequence[Row], batch_tokens: int, width: int | None) -> list[Batch]:
    """`rows` in batches of about `batch_tokens` positions: packed to `width` if it is given, else padded."""
    return _padded(rows, batch_tokens) if width is None else _packed(rows, batch_tokens, width)


def _padded(rows: Sequence[Row], batch_tokens: int) -> list[Batch]:
    groups: list[list[Row]] = [[]]
    for row in sorted(rows, key=lambda row: len(row.ids)):
        if groups[-1] and (len(groups[-1]) + 1) * rounded(len(row.ids)) > batch_tokens:
            groups.append([])
        groups[-1].append(row)
    return [padded(group) for group in groups]


def rounded(length: int) -> int:
    return -(-length // ROUND_TO) * ROUND_TO


def padded(rows: Sequence[Row]) -> Batch:
    width = rounded(max(len(row.ids) for row in rows))
    inputs, targets = np.zeros((len(rows), width), np.int64), np.full((len(rows), width), IGNORED, np.int64)
    for line, row in enumerate(rows):
        _write(inputs[line], targets[line], 0, row)
    return Batch(torch.from_numpy(inputs), torch.from_numpy(targets), sum(len(row.ids) for row in rows))


def _packed(rows: Sequence[Row], batch_tokens: int, width: int) -> list[Batch]:
    """First fit, longest first. All batches have `batch_tokens / width` lines, the last ones perhaps empty."""
    lines: list[list[Row]] = []
    room: list[int] = []
    for row in sorted(rows, key=lambda row: -len(row.ids)):
        place = next((line for line, left in enumerate(room) if left >= len(row.ids)), None)
        if place is None:
            place = len(lines)
            lines.append([])
            room.append(width)
        lines[place].append(row)
        room[place] -= len(row.ids)
    high = max(1, batch_tokens // width)
    return [packed(lines[start : start + high], high, width) for start in range(0, len(lines), high)]


def packed(lines: Sequence[Sequence[Row]], high: int, width: int) -> Batch:
    """(high, width). Documents count from 1; what is left over is document 0, which sees only itself."""
    shape = (high, width)
    inputs, targets = np.zeros(shape, np.int64), np.full(shape, IGNORED, np.int64)
    documents, positions = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for line, rows in enumerate(lines):
        start = 0
        for number, row in enumerate(rows, 1):
            end = start + len(row.ids)
            _write(inputs[line], targets[line], start, row)
            documents[line, start:end] = number
            positions[line, start:end] = np.arange(len(row.ids))
            start = end
    tensors = [torch.from_numpy(array) for array in (inputs, targets, documents, positions)]
    tokens = sum(len(row.ids) for rows in lines for row in rows)
    return Batch(tensors[0], tensors[1], tokens, tensors[2], tensors[3])


def _write(inputs: NDArray[np.int64], targets: NDArray[np.int64], start: int, row: Row) -> None:
    """Each target is the next token, if that one counts."""
    inputs[start : start + len(row.ids)] = row.ids
    targets[start : start + len(row.ids) - 1] = np.where(row.counted[1:], row.ids[1:], IGNORED)
