"""Reinforcement by group-relative policy optimization: of several answers to a prompt, the better ones become likelier.

Source: Shao et al. 2024, "DeepSeekMath" (GRPO); each group's answers are graded against its own mean, so that no value
model is needed. One optimizer step for each sampled batch, so the probability ratio is one and needs no clipping.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from outcrop.training import parallel
from outcrop.training.batches import IGNORED, Batch, Position, Row, Step, padded, rounded
from outcrop.training.customizing.base import Base
from outcrop.training.customizing.grading import Grade, Sample
from outcrop.training.customizing.records import Prompt
from outcrop.training.customizing.spec import REWARD_METRICS, Reinforcement
from outcrop.training.model import Decoder, device
from outcrop.training.objectives import Objective
from outcrop.training.progress import Progress
from outcrop.training.rows import Rows
from outcrop.training.sampling import sample

# Answers that are all worth the same teach nothing, and would be divided by zero.
EPSILON = 1e-4


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompts as rows, and the record that each is from."""

    rows: Rows
    records: Sequence[Prompt]

    def ids(self, number: int) -> list[int]:
        place, shard = number, 0
        while place >= self.rows.sizes[shard]:
            place -= self.rows.sizes[shard]
            shard += 1
        return [int(token) for token in self.rows.shard(shard).row(place).ids]


@dataclass(frozen=True, slots=True)
class Sampled:
    """Steps that are sampled from the model when they are asked for: `batch_size` prompts, `how.samples` answers to each.

    `reference` gives a context in which the model computes as before training, where `how.kl` wants to know.
    """

    model: Decoder
    base: Base
    prompts: Prompts
    grade: Grade
    how: Reinforcement
    seed: int
    epochs: int
    batch_size: int
    batch_tokens: int
    bf16: bool
    reference: Callable[[], AbstractContextManager[None]] = nullcontext

    @property
    def steps_in_epoch(self) -> int:
        return -(-len(self.prompts.records) // self.batch_size)

    def steps(self, start: Position) -> Iterator[Step]:
        epoch, first = start
        while epoch < self.epochs:
            order = np.random.default_rng([self.seed, epoch]).permutation(len(self.prompts.records))
            for index in range(first, self.steps_in_epoch):
                chosen = order[index * self.batch_size : (index + 1) * self.batch_size].tolist()
                seed = int(np.random.default_rng([self.seed, epoch, index]).integers(2**62))
                last = index + 1 == self.steps_in_epoch
                after = (epoch + 1, 0) if last else (epoch, index + 1)
                yield Step(self._pieces(chosen, seed), after, epoch + 1, last)
            epoch, first = epoch + 1, 0

    def rewards(self, numbers: Sequence[int]) -> list[float]:
        """Of the likeliest answers."""
        found: list[float] = []
        for start in range(0, len(numbers), 32):
            some = numbers[start : start + 32]
            found += self._graded(some, self._answers(some, 0, temperature=0.0))
        return found

    def _pieces(self, chosen: Sequence[int], seed: int) -> list[Batch]:
        repeated = [number for number in chosen for _ in range(self.how.samples)]
        answers = self._answers(repeated, seed, temperature=self.how.temperature)
        rewards = np.asarray(self._graded(repeated, answers), np.float32)
        groups = rewards.reshape(len(chosen), self.how.samples)
        advantages = (groups - groups.mean(1, keepdims=True)) / (groups.std(1, keepdims=True) + EPSILON)
        rows = [_row(self.prompts.ids(number), answer) for number, answer in zip(repeated, answers, strict=True)]
        return [self._batch(rows, places, rewards, advantages.reshape(-1)) for places in self._groups(rows)]

    def _answers(self, numbers: Sequence[int], seed: int, *, temperature: float) -> list[list[int]]:
        return sample(
            self.model,
            [self.prompts.ids(number) for number in numbers],
            max_tokens=self.how.max_tokens,
            ends=self.base.ends,
            seed=seed,
            temperature=temperature,
            bf16=self.bf16,
        )

    def _graded(self, numbers: Sequence[int], answers: Sequence[Sequence[int]]) -> list[float]:
        decode = self.base.tokenizer.decode
        samples = [
            Sample(self.prompts.records[number].record, decode(list(answer), skip_special_tokens=True))
            for number, answer in zip(numbers, answers, strict=True)
        ]
        return parallel.first_ones(lambda: self.grade(samples))

    def _groups(self, rows: Sequence[Row]) -> list[list[int]]:
        groups: list[list[int]] = [[]]
        for place in sorted(range(len(rows)), key=lambda place: len(rows[place].ids)):
            if groups[-1] and (len(groups[-1]) + 1) * rounded(len(rows[place].ids)) > self.batch_tokens:
                groups.append([])
            groups[-1].append(place)
        return groups

    def _batch(self, rows: Sequence[Row], places: Sequence[int], rewards: Any, advantages: Any) -> Batch:
        batch = padded([rows[place] for place in places])
        extras = {
            "advantages": torch.from_numpy(advantages[places].astype(np.float32)),
            "rewards": torch.from_numpy(rewards[places]),
        }
        if self.how.kl:
            where = device()
            with torch.no_grad(), self.reference(), torch.autocast(where.type, torch.bfloat16, enabled=self.bf16):
                extras["reference"] = token_likelihoods(self.model, batch.to(where)).float().cpu()
        return replace(batch, extras=extras)


def _row(prompt: Sequence[int], answer: Sequence[int]) -> Row:
    ids = np.asarray([*prompt, *answer], np.int64)
    return Row(ids, np.arange(len(ids)) >= len(prompt))


def token_likelihoods(model: nn.Module, batch: Batch) -> Tensor:
    """(B, T): the log-probability of each target; 0 where there is none."""
    logits = model(batch.inputs).float()
    flat = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), reduction="none", ignore_index=IGNORED)
    return -flat.view(batch.targets.shape)


def grpo(kl: float) -> Objective:
    """Mean over all answers' tokens of -advantage, and `kl` times an estimate of the divergence from the reference.

    The estimate is Schulman's k3, which is never negative and has little variance.
    """

    def objective(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        wanted = batch.targets != IGNORED
        found = token_likelihoods(model, batch)
        # Its value is the advantage, its gradient the policy's.
        loss = -batch.extras["advantages"][:, None] * torch.exp(found - found.detach())
        if kl:
            apart = batch.extras["reference"] - found
            loss = loss + kl * (torch.exp(apart) - apart - 1)
        return torch.where(wanted, loss, 0.0).sum(), wanted.sum()

    return objective


@dataclass(frozen=True, slots=True)
class Rewards:
    """An `after_step`: what the answers of each step were worth; at each epoch's end, and each `every` steps, those to
    held-out prompts.

    In `notes`: `rewards`, the mean of each step, and `held_out_rewards`, with that before training first.
    """

    out: Path
    held_out: Sampled | None
    every: int
    tell: Callable[[dict[str, Any]], None]

    def __call__(self, progress: Progress, step: Step) -> Progress:
        rewards = np.concatenate([piece.extras["rewards"].numpy() for piece in step.pieces])
        length = sum(int((piece.targets != IGNORED).sum()) for piece in step.pieces) / len(rewards)
        mean = float(rewards.mean())
        if parallel.rank() == 0:
            self._write(progress, mean, float(rewards.std()), length)
        self.tell({"type": "reward", "step": progress.step, "epoch": progress.epoch, "reward": round(mean, 6)})
        notes = {**progress.notes, "rewards": [*progress.notes.get("rewards", []), mean]}
        due = step.ends_epoch or (self.every and progress.step % self.every == 0)
        if due and self.held_out is not None:
            notes["held_out_rewards"] = [*notes.get("held_out_rewards", []), self.measured(progress.step)]
        return replace(progress, notes=notes)

    def measured(self, step: int) -> float:
        """The mean reward of the likeliest answers to the held-out prompts."""
        assert self.held_out is not None
        found = self.held_out.rewards(range(len(self.held_out.prompts.records)))
        mean = sum(found) / len(found)
        self.tell({"type": "line", "text": f"Step {step}: reward {mean:.3f} on {len(found)} held-out prompts."})
        return mean

    def _write(self, progress: Progress, mean: float, deviation: float, length: float) -> None:
        path = self.out / REWARD_METRICS
        # What an interrupted run wrote after its last checkpoint is sampled, and written, again.
        lines = path.read_text().splitlines()[: progress.step] if path.exists() else []
        with path.open("w", newline="") as file:
            file.write("".join(f"{line}\n" for line in lines))
            writer = csv.writer(file, lineterminator="\n")
            if not lines:
                writer.writerow(
                    ("step_number", "epoch_number", "mean_reward", "reward_deviation", "mean_answer_tokens")
                )
            writer.writerow((progress.step, progress.epoch, f"{mean:.6f}", f"{deviation:.6f}", f"{length:.2f}"))
