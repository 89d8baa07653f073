"""The stream of generated batches: pools of examples, sorted by length and cut into batches of nearly equal size.

Pool k depends on the seed and k alone, so that a run resumes at (pool, batch) exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from random import Random

import numpy as np
from tokenizers import Tokenizer

from outcrop.training.batches import Batch, Position, Row, Step, pieces
from outcrop.training.generators import training_example
from outcrop.training.tokenizer import Template, encode_example

POOL_EXAMPLES = 1024


@dataclass(frozen=True, slots=True)
class GeneratedSource:
    """Never ends. A step has about `step_tokens` positions, in batches of `batch_tokens`; packed to `width` if it is given."""

    tokenizer: Tokenizer
    template: Template
    seed: int
    step_tokens: int
    batch_tokens: int
    context: int
    width: int | None = None
    shares: Mapping[str, float] = field(default_factory=dict)

    def steps(self, start: Position) -> Iterator[Step]:
        gathered: list[Batch] = []
        for batch, after in self.batches(start):
            gathered.append(batch)
            if sum(piece.inputs.numel() for piece in gathered) >= self.step_tokens:
                yield Step(gathered, after)
                gathered = []

    def batches(self, start: Position) -> Iterator[tuple[Batch, Position]]:
        """Each with the position after it."""
        pool, skip = start
        while True:
            for index, batch in enumerate(self.pool(pool)):
                if index >= skip:
                    yield batch, (pool, index + 1)
            pool, skip = pool + 1, 0

    def pool(self, number: int) -> list[Batch]:
        random = Random(f"{self.seed}/{number}")
        rows: list[Row] = []
        while len(rows) < POOL_EXAMPLES:
            example = training_example(random, self.shares)
            ids, counted = encode_example(self.tokenizer, self.template, example.messages, example.tools)
            if len(ids) <= self.context:
                rows.append(Row(np.asarray(ids), np.asarray(counted)))
        batches = pieces(rows, self.batch_tokens, self.width)
        random.shuffle(batches)
        return batches
