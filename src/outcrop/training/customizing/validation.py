"""Validation loss, and when to stop for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from outcrop.training import checkpoint, parallel
from outcrop.training.batches import Batch, Step
from outcrop.training.customizing.spec import Hyperparameters
from outcrop.training.loop import TrainingError
from outcrop.training.model import Decoder, device
from outcrop.training.objectives import Objective, next_token
from outcrop.training.progress import Metrics, Progress


def mean_loss(model: Decoder, batches: list[Batch], *, bf16: bool, objective: Objective = next_token) -> float:
    """By counted token."""
    where = device()
    sums = torch.zeros(2, device=where)
    with torch.no_grad(), torch.autocast(where.type, torch.bfloat16, enabled=bf16):
        for batch in parallel.mine(batches):
            loss, count = objective(model, batch.to(where))
            sums += torch.stack((loss.float(), count.float()))
    parallel.reshard(model)
    total, counted = parallel.summed(sums).tolist()
    if counted == 0:
        raise TrainingError("The validation data holds nothing that counts.")
    mean: float = total / counted
    return mean


@dataclass(frozen=True, slots=True)
class Validation:
    """An `after_step`. In `notes`: all losses, the lowest with its step, and how many validations have not improved on it."""

    model: Decoder
    batches: Callable[[], list[Batch]]
    hyper: Hyperparameters
    out: Path
    metrics: Metrics
    tell: Callable[[Progress, float], None]
    bf16: bool
    objective: Objective = next_token

    def __call__(self, progress: Progress, step: Step) -> Progress:
        every = self.hyper.validate_every
        if not step.ends_epoch and not (every and progress.step % every == 0):
            return progress
        loss = mean_loss(self.model, self.batches(), bf16=self.bf16, objective=self.objective)
        if parallel.rank() == 0:
            self.metrics.append(progress.step, progress.epoch, loss)
        self.tell(progress, loss)
        return replace(progress, notes=self._judged(progress, loss))

    def _judged(self, progress: Progress, loss: float) -> dict[str, object]:
        notes = progress.notes
        losses = [*notes.get("validation_losses", []), loss]
        best = min(losses[:-1], default=float("inf"))
        improved = loss < best - (self.hyper.early_stopping_threshold or 0.0)
        idle = 0 if improved else notes.get("idle", 0) + 1
        kept = notes.get("best_step", 0)
        if self.hyper.early_stopping_patience is not None and loss < best:
            checkpoint.save_best(self.out, progress.step, self.model)
            kept = progress.step
        return {**notes, "validation_losses": losses, "idle": idle, "best_step": kept}

    def finished(self, progress: Progress) -> bool:
        patience = self.hyper.early_stopping_patience
        return patience is not None and progress.notes.get("idle", 0) >= patience

    def restore_best(self, progress: Progress) -> int:
        """The step whose weights the model now has."""
        best: int = progress.notes.get("best_step", 0)
        if not best or best == progress.step:
            return progress.step
        checkpoint.restore_best(self.out, best, self.model)
        return best
