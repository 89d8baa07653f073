"""The stream of training batches: generated, tokenised, sorted by length, cut into batches of nearly equal size.

The stream is a sequence of pools; pool k depends on the seed and k alone, so that a run resumes at (pool, batch) exactly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor

from outcrop.training.generators import training_example
from outcrop.training.tokenizer import Template, encode_example

POOL_EXAMPLES = 1024
# Lengths are rounded up, so that few distinct shapes occur.
ROUND_TO = 16


@dataclass(frozen=True, slots=True)
class Batch:
    """`inputs` and `targets` are (B, T); targets are -100 where the loss does not count. `tokens` are real, not padding."""

    inputs: Tensor
    targets: Tensor
    tokens: int
    pool: int
    index: int


def pool_batches(
    tokenizer: Tokenizer, template: Template, seed: int, pool: int, batch_tokens: int, context: int
) -> list[Batch]:
    random = Random(f"{seed}/{pool}")
    rows: list[tuple[list[int], list[bool]]] = []
    while len(rows) < POOL_EXAMPLES:
        example = training_example(random)
        ids, counted = encode_example(tokenizer, template, example.messages, example.tools)
        if len(ids) <= context:
            rows.append((ids, counted))
    rows.sort(key=lambda row: len(row[0]))
    groups: list[list[tuple[list[int], list[bool]]]] = [[]]
    for row in rows:
        if (len(groups[-1]) + 1) * _rounded(len(row[0])) > batch_tokens and groups[-1]:
            groups.append([])
        groups[-1].append(row)
    random.shuffle(groups)
    return [_batch(group, pool, index) for index, group in enumerate(groups)]


def _rounded(length: int) -> int:
    return -(-length // ROUND_TO) * ROUND_TO


def _batch(rows: list[tuple[list[int], list[bool]]], pool: int, index: int) -> Batch:
    width = _rounded(max(len(ids) for ids, _ in rows))
    inputs = torch.zeros((len(rows), width), dtype=torch.long)
    targets = torch.full((len(rows), width), -100, dtype=torch.long)
    for place, (ids, counted) in enumerate(rows):
        inputs[place, : len(ids)] = torch.tensor(ids)
        wanted = torch.tensor([t if c else -100 for t, c in zip(ids[1:], counted[1:], strict=True)])
        targets[place, : len(ids) - 1] = wanted
    return Batch(inputs, targets, sum(len(ids) for ids, _ in rows), pool, index)


def stream(
    tokenizer: Tokenizer,
    template: Template,
    *,
    seed: int,
    batch_tokens: int,
    context: int,
    start: tuple[int, int] = (0, 0),
) -> Iterator[Batch]:
    pool, skip = start
    while True:
        yield from pool_batches(tokenizer, template, seed, pool, batch_tokens, context)[skip:]
        pool, skip = pool + 1, 0
