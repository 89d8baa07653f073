"""Direct preference optimization: of two answers to a prompt, the preferred one is to become the likelier.

Source: Rafailov et al. 2023, "Direct Preference Optimization". The reference is the model as it was before the first step.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from outcrop.training import parallel
from outcrop.training.batches import IGNORED, Batch, Position, Row, Step, padded, rounded
from outcrop.training.model import device
from outcrop.training.objectives import Objective
from outcrop.training.rows import Rows

Reference = NDArray[np.float32]


def answer_likelihoods(model: nn.Module, batch: Batch) -> Tensor:
    """(B,): the log-probability of what counts in each row."""
    wanted = batch.targets != IGNORED
    if batch.inputs.device.type == "cpu":
        logits = model(batch.inputs, wanted=wanted)
        found = -F.cross_entropy(logits.float(), batch.targets[wanted], reduction="none")
        rows = wanted.nonzero()[:, 0]
        return torch.zeros(len(wanted), device=found.device).index_add(0, rows, found)
    logits = model(batch.inputs).float().flatten(0, 1)
    flat = F.cross_entropy(logits, batch.targets.flatten(), reduction="none", ignore_index=IGNORED)
    return -flat.view(batch.targets.shape).sum(1)


def dpo(beta: float) -> Objective:
    """Rows of a batch: the preferred answers, then the others in the same order; `extras["reference"]` (B,) is theirs before."""

    def objective(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        gained = answer_likelihoods(model, batch) - batch.extras["reference"]
        better, worse = gained.chunk(2)
        counts = (batch.targets != IGNORED).any(1).chunk(2)[0]
        loss = -F.logsigmoid(beta * (better - worse))
        return torch.where(counts, loss, loss.detach() * 0).sum(), counts.sum()

    return objective


@dataclass(frozen=True, slots=True)
class Pairs:
    """Rows two by two, preferred first. `batch_size` pairs a step; `reference` (rows,) has the answers' likelihoods before."""

    rows: Rows
    seed: int
    epochs: int
    batch_size: int
    batch_tokens: int
    reference: Reference | None = None

    @property
    def count(self) -> int:
        return len(self.rows) // 2

    @property
    def steps_in_epoch(self) -> int:
        return -(-self.count // self.batch_size)

    def steps(self, start: Position) -> Iterator[Step]:
        epoch, first = start
        while epoch < self.epochs:
            order = np.random.default_rng([self.seed, epoch]).permutation(self.count)
            for index in range(first, self.steps_in_epoch):
                chosen = order[index * self.batch_size : (index + 1) * self.batch_size].tolist()
                last = index + 1 == self.steps_in_epoch
                yield Step(self._pieces(chosen), (epoch + 1, 0) if last else (epoch, index + 1), epoch + 1, last)
            epoch, first = epoch + 1, 0

    def everything(self) -> list[Batch]:
        """All pairs, in their order."""
        return [batch for group in self._groups(range(self.count), in_order=True) for batch in [self._batch(group)]]

    def _pieces(self, pairs: Sequence[int]) -> list[Batch]:
        return [self._batch(group) for group in self._groups(pairs)]

    def _groups(self, pairs: Sequence[int], *, in_order: bool = False) -> list[list[int]]:
        """Of about `batch_tokens` positions each, of pairs of like length unless the order is wanted."""
        lengths = {pair: rounded(max(len(self._row(2 * pair).ids), len(self._row(2 * pair + 1).ids))) for pair in pairs}
        groups: list[list[int]] = [[]]
        for pair in pairs if in_order else sorted(pairs, key=lambda pair: lengths[pair]):
            width = max(lengths[one] for one in (*groups[-1], pair))
            if groups[-1] and 2 * (len(groups[-1]) + 1) * width > self.batch_tokens:
                groups.append([])
            groups[-1].append(pair)
        return groups

    def _batch(self, pairs: Sequence[int]) -> Batch:
        places = [2 * pair for pair in pairs] + [2 * pair + 1 for pair in pairs]
        batch = padded([self._row(place) for place in places])
        if self.reference is None:
            return batch
        return replace(batch, extras={"reference": torch.from_numpy(self.reference[places])})

    def _row(self, place: int) -> Row:
        shard = 0
        while place >= self.rows.sizes[shard]:
            place -= self.rows.sizes[shard]
            shard += 1
        return self.rows.shard(shard).row(place)


def likelihoods(model: nn.Module, pairs: Pairs, *, bf16: bool) -> Reference:
    """(rows,) of all answers, by the model as it is. All processes must call it, and all get all."""
    where, found = device(), np.zeros(2 * pairs.count, np.float32)
    place = 0
    with torch.no_grad(), torch.autocast(where.type, torch.bfloat16, enabled=bf16):
        for batch in pairs.everything():
            better, worse = answer_likelihoods(model, batch.to(where)).float().cpu().chunk(2)
            end = place + 2 * len(better)
            found[place:end:2], found[place + 1 : end : 2] = better.numpy(), worse.numpy()
            place = end
    return found


def reference_of(model: nn.Module, pairs: Pairs, kept: Path, *, bf16: bool) -> Reference:
    """Once, before the first step: a restart must not take the trained model for its own reference."""
    if not kept.exists():
        found = likelihoods(model, pairs, bf16=bf16)
        if parallel.rank() == 0:
            partial = kept.with_name(f"{kept.name}.partial.npy")
            np.save(partial, found)
            partial.replace(kept)
        parallel.wait()
    reference: Reference = np.load(kept)
    return reference


def accuracy(found: Reference) -> float:
    """The share of pairs whose preferred answer is the likelier one."""
    return float((found[0::2] > found[1::2]).mean())
