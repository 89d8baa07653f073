"""The training loop. It fits on a screen, and everything that is trained goes through it.

Another kind of training brings an `Objective` ((model, batch) -> summed loss and count) and a `Source` of steps, whose
batches carry what the objective wants in `extras`; what it must remember lives in `Progress.notes`. A `Source` may hold the
model: steps that are sampled from it are made when they are asked for, between two optimizer steps.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from outcrop.engines.cores import usable_cores
from outcrop.training import checkpoint, optimizers, parallel
from outcrop.training.batches import Source, Step
from outcrop.training.model import Decoder, device
from outcrop.training.objectives import Objective, next_token
from outcrop.training.progress import Metrics, Progress


class TrainingError(Exception):
    """A sentence on why a run cannot go on."""


@dataclass(frozen=True, slots=True)
class Job:
    """`schedule`: the share of each optimizer's peak rate at some progress. `after_step` may change `notes` and tell of them."""

    model: Decoder
    optimizers: Sequence[torch.optim.Optimizer]
    source: Source
    schedule: Callable[[Progress], float]
    objective: Objective = next_token
    finished: Callable[[Progress], bool] = lambda _: False
    after_step: Callable[[Progress, Step], Progress] = lambda progress, _: progress
    clip: float = 1.0
    bf16: bool = False
    checkpoint_seconds: float = 60.0


def run(job: Job, out: Path, metrics: Sequence[Metrics], report: Callable[[Progress], None]) -> Progress:
    """Train until the source ends or the job is finished, from the newest checkpoint in `out` if there is one.

    `metrics`: the first is written here; from all of them go the rows after that checkpoint.
    """
    model, where = job.model, device()
    trained = [p for p in model.parameters() if p.requires_grad]
    peaks = [[group["lr"] for group in optimizer.param_groups] for optimizer in job.optimizers]
    progress = checkpoint.restore(out, model, job.optimizers) or Progress()
    for file in metrics if parallel.rank() == 0 else ():
        file.forget_after(progress.step)
    steps, saved, peak = job.source.steps(progress.position), time.monotonic(), _peak(job, where)
    while not job.finished(progress) and (step := next(steps, None)) is not None:
        began = time.monotonic()
        for optimizer, rates in zip(job.optimizers, peaks, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * job.schedule(progress)
            optimizer.zero_grad(set_to_none=True)
        sums = torch.zeros(2, device=where)
        for batch in parallel.mine(step.pieces):
            with torch.autocast(where.type, torch.bfloat16, enabled=job.bf16):
                loss, count = job.objective(model, batch.to(where))
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
            sums += torch.stack((loss.detach().float(), count.float()))
        total, counted = parallel.summed(sums).tolist()
        for parameter in trained:
            if parameter.grad is not None:
                # Sharded gradients are means over the processes; what is wanted is the mean over what was counted.
                parameter.grad *= parallel.size() / max(1.0, counted)
        torch.nn.utils.clip_grad_norm_(trained, job.clip)
        for optimizer in job.optimizers:
            optimizer.step()
        progress = _advanced(progress, step, total / max(1.0, counted), time.monotonic() - began, job, peak)
        if parallel.rank() == 0:
            metrics[0].append(progress.step, progress.epoch, progress.loss)
        report(progress)
        progress = job.after_step(progress, step)
        if parallel.agreed(time.monotonic() - saved > job.checkpoint_seconds):
            checkpoint.save(out, model, job.optimizers, progress)
            saved = time.monotonic()
    checkpoint.save(out, model, job.optimizers, progress)
    return progress


def _advanced(before: Progress, step: Step, loss: float, seconds: float, job: Job, peak: float) -> Progress:
    if not math.isfinite(loss):
        raise TrainingError(f"The loss is {loss} at step {before.step + 1}; a lower learning rate may help.")
    tokens, c = sum(batch.tokens for batch in step.pieces), job.model.config
    length = max(batch.inputs.shape[1] for batch in step.pieces)
    speed = tokens / seconds
    flops = optimizers.flops_per_token(job.model, c.layers, c.heads * c.head_dim, length)
    return replace(
        before, step=before.step + 1, epoch=step.epoch, tokens=before.tokens + tokens, position=step.after,
        seconds=before.seconds + seconds, loss=loss, speed=speed, mfu=speed * flops / peak,
    )  # fmt: skip


def _peak(job: Job, where: torch.device) -> float:
    return optimizers.peak_flops(where, bf16=job.bf16) * parallel.size()


def free_cores() -> int:
    """Two threads on one free core are slower than one, because OpenMP's barriers spin."""
    cores = usable_cores()
    # Those of this machine that `torchrun` started share them.
    beside = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(1, min(cores, round(cores - os.getloadavg()[0])) // beside)
