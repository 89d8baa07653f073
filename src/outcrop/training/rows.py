"""Rows of tokens on disk, in shards that are mapped, not read: a data set may be larger than memory.

A shard is three files: all ids one after the other, a byte for each that says whether the loss counts it, and where each
row begins. `index.json` is written last, so that a folder has all of its rows or is made anew.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from outcrop.training.batches import Position, Row, Step, pieces

SHARD_TOKENS = 1 << 24
# On CPUs so many steps' rows are sorted by length together, so that those of one step need little padding.
POOL_STEPS = 16


class RowWriter:
    """Appends rows to `folder`; leaving the context without an exception makes them a whole."""

    def __init__(self, folder: Path, vocab_size: int, shard_tokens: int = SHARD_TOKENS) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._type = np.dtype(np.uint16 if vocab_size <= 1 << 16 else np.uint32)
        self._most = shard_tokens
        self._shards: list[tuple[int, int]] = []
        self._begin()

    def _begin(self) -> None:
        name = self._folder / f"{len(self._shards):05}"
        self._ids = name.with_suffix(".ids").open("wb")
        self._counted = name.with_suffix(".counted").open("wb")
        self._starts = [0]

    def append(self, ids: Sequence[int], counted: Sequence[bool]) -> None:
        if self._starts[-1] >= self._most:
            self._end()
            self._begin()
        self._ids.write(np.asarray(ids, self._type).tobytes())
        self._counted.write(np.asarray(counted, np.uint8).tobytes())
        self._starts.append(self._starts[-1] + len(ids))

    def _end(self) -> None:
        self._ids.close()
        self._counted.close()
        np.save(self._folder / f"{len(self._shards):05}.starts.npy", np.asarray(self._starts, np.int64))
        self._shards.append((len(self._starts) - 1, self._starts[-1]))

    def __enter__(self) -> RowWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        if kind is None:
            partial = self._folder / "index.json.partial"
            partial.write_text(json.dumps({"type": self._type.name, "shards": self._shards}))
            partial.replace(self._folder / "index.json")


@dataclass(frozen=True, slots=True)
class Shard:
    ids: NDArray[np.unsignedinteger]
    counted: NDArray[np.uint8]
    starts: NDArray[np.int64]

    def row(self, number: int) -> Row:
        part = slice(int(self.starts[number]), int(self.starts[number + 1]))
        return Row(self.ids[part].astype(np.int64), self.counted[part].astype(np.bool_))


class Rows:
    """What a `RowWriter` wrote."""

    def __init__(self, folder: Path) -> None:
        index = json.loads((folder / "index.json").read_text())
        self._folder = folder
        self._type = np.dtype(index["type"])
        self.sizes: list[int] = [rows for rows, _ in index["shards"] if rows]
        self.tokens = sum(tokens for _, tokens in index["shards"])
        # A shard or two at a time: what is not mapped takes no memory.
        self.shard = lru_cache(2)(self._mapped)

    def __len__(self) -> int:
        return sum(self.sizes)

    def _mapped(self, number: int) -> Shard:
        name = self._folder / f"{number:05}"
        return Shard(
            np.memmap(name.with_suffix(".ids"), self._type, "r"),
            np.memmap(name.with_suffix(".counted"), np.uint8, "r"),
            np.load(f"{name}.starts.npy", mmap_mode="r"),
        )

    @staticmethod
    def are_in(folder: Path) -> bool:
        return (folder / "index.json").exists()


@dataclass(frozen=True, slots=True)
class RowSource:
    """`epochs` times all rows, `batch_size` a step, in an order of each epoch's own. Packed to `width` if it is given."""

    rows: Rows
    seed: int
    epochs: int
    batch_size: int
    batch_tokens: int
    width: int | None = None

    @property
    def steps_in_epoch(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def steps(self, start: Position) -> Iterator[Step]:
        epoch, first = start
        while epoch < self.epochs:
            for index, places in enumerate(self._epoch(epoch)):
                if index < first:
                    continue
                chosen = [self.rows.shard(shard).row(row) for shard, row in places]
                last = index + 1 == self.steps_in_epoch
                after = (epoch + 1, 0) if last else (epoch, index + 1)
                yield Step(pieces(chosen, self.batch_tokens, self.width), after, epoch + 1, last)
            epoch, first = epoch + 1, 0

    def _epoch(self, epoch: int) -> Iterator[list[Position]]:
        """(shard, row) of each step's rows. Shards in random order, rows in random order within each: one shard's at a time."""
        random = np.random.default_rng([self.seed, epoch])
        pool: list[Position] = []
        most = self.batch_size * POOL_STEPS
        for shard in random.permutation(len(self.rows.sizes)).tolist():
            for row in random.permutation(self.rows.sizes[shard]).tolist():
                pool.append((shard, row))
                if len(pool) == most:
                    yield from self._steps_of(pool, random)
                    pool = []
        if pool:
            yield from self._steps_of(pool, random)

    def _steps_of(self, pool: list[Position], random: np.random.Generator) -> Iterator[list[Position]]:
        if self.width is None:
            pool.sort(key=self._length)
        groups = [pool[start : start + self.batch_size] for start in range(0, len(pool), self.batch_size)]
        for number in random.permutation(len(groups)).tolist():
            yield groups[number]

    def _length(self, place: Position) -> int:
        starts = self.rows.shard(place[0]).starts
        return int(starts[place[1] + 1] - starts[place[1]])
