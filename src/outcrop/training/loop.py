"""The training loop. It fits on a screen."""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor

from outcrop.engines.cores import usable_cores
from outcrop.training.data import Batch, stream
from outcrop.training.model import Decoder, ModelConfig, device
from outcrop.training.muon import Muon
from outcrop.training.recipe import Recipe, TrainPart
from outcrop.training.tokenizer import Template

METRICS = "step_wise_training_metrics.csv"


@dataclass(slots=True)
class Progress:
    """Where a run is: what the data stream and the schedule depend on, and the seconds it has taken."""

    step: int = 0
    tokens: int = 0
    pool: int = 0
    index: int = 0
    seconds: float = 0.0
    loss: float = float("nan")


def rate(train: TrainPart, tokens: int) -> float:
    """Share of the learning rate: warm-up, constant, linear decay to 2 % (WSD)."""
    done = tokens / train.tokens
    if done < train.warmup:
        return max(done, 0.1 * train.warmup) / train.warmup
    return max(0.02, min(1.0, (1 - done) / train.decay))


def optimizers(model: Decoder, train: TrainPart) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices; AdamW for the embedding and the norms."""
    hidden = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed_tokens" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim != 2 or "embed_tokens" in n]
    return [
        Muon(hidden, lr=train.muon_learning_rate, weight_decay=train.weight_decay),
        torch.optim.AdamW(others, lr=train.learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def loss_sum(model: Decoder, batch: Batch, where: torch.device, *, bf16: bool = False) -> tuple[Tensor, int]:
    """Summed cross-entropy and the count of targets; the head runs only where there is a target."""
    targets = batch.targets.to(where)
    wanted = targets != -100
    with torch.autocast(where.type, torch.bfloat16, enabled=bf16):
        logits = model.logits(model(batch.inputs.to(where))[wanted])
    return F.cross_entropy(logits.float(), targets[wanted], reduction="sum"), int(wanted.sum())


def in_bfloat16(train: TrainPart, where: torch.device) -> bool:
    """On a CPU without bfloat16 arithmetic, autocast is slower than float32."""
    if train.precision != "auto":
        return train.precision == "bf16"
    return where.type != "cpu" or bool(torch.cpu.get_capabilities().get("avx512_bf16"))


def train(
    recipe: Recipe, tokenizer: Tokenizer, out: Path, report: Callable[[Progress], None]
) -> tuple[Decoder, Progress]:
    """Train to the recipe's tokens, from the newest checkpoint in `out` if there is one."""
    settings, where = recipe.train, device()
    torch.set_num_threads(settings.threads or free_cores())
    torch.manual_seed(settings.seed)
    model = Decoder(config_of(recipe)).to(where)
    chosen = optimizers(model, settings)
    peaks = [settings.muon_learning_rate, settings.learning_rate]
    progress = restore(out, model, chosen) or Progress()
    _forget_metrics_after(out, progress.step)
    batches = stream(
        tokenizer, Template(), seed=settings.seed, batch_tokens=settings.tokens_per_batch,
        context=recipe.model.context, start=(progress.pool, progress.index),
    )  # fmt: skip
    bf16, saved = in_bfloat16(settings, where), time.monotonic()
    while progress.tokens < settings.tokens:
        began = time.monotonic()
        total, targets, tokens = 0.0, 0, 0
        pieces = list(_one_step(batches, settings.tokens_per_step))
        for optimizer, peak in zip(chosen, peaks, strict=True):
            optimizer.param_groups[0]["lr"] = peak * rate(settings, progress.tokens)
            optimizer.zero_grad(set_to_none=True)
        for batch in pieces:
            loss, count = loss_sum(model, batch, where, bf16=bf16)
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
            total, targets, tokens = total + loss.item(), targets + count, tokens + batch.tokens
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad /= targets
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip)
        for optimizer in chosen:
            optimizer.step()
        progress = Progress(
            progress.step + 1, progress.tokens + tokens, pieces[-1].pool, pieces[-1].index + 1,
            progress.seconds + time.monotonic() - began, total / targets,
        )  # fmt: skip
        _write_metrics(out, progress)
        report(progress)
        if time.monotonic() - saved > settings.checkpoint_seconds:
            save(out, model, chosen, progress)
            saved = time.monotonic()
    save(out, model, chosen, progress)
    return model, progress


def free_cores() -> int:
    """Two threads on one free core are slower than one, because OpenMP's barriers spin."""
    cores = usable_cores()
    return max(1, min(cores, round(cores - os.getloadavg()[0])))


def config_of(recipe: Recipe) -> ModelConfig:
    m = recipe.model
    return ModelConfig(m.vocab_size, m.hidden_size, m.intermediate_size, m.layers, m.heads, m.kv_heads, m.context)


def _one_step(batches: Iterator[Batch], tokens: int) -> Iterator[Batch]:
    seen = 0
    while seen < tokens:
        batch = next(batches)
        seen += batch.inputs.numel()
        yield batch


def save(out: Path, model: Decoder, chosen: list[torch.optim.Optimizer], progress: Progress) -> None:
    """Whole or not at all: written beside, then renamed."""
    state: dict[str, Any] = {
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in chosen],
        "progress": {name: getattr(progress, name) for name in Progress.__slots__},
    }
    partial = out / "checkpoint.pt.partial"
    torch.save(state, partial)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(out / "checkpoint.pt")


def restore(out: Path, model: Decoder, chosen: list[torch.optim.Optimizer]) -> Progress | None:
    path = out / "checkpoint.pt"
    if not path.exists():
        return None
    state = torch.load(path, map_location=device(), weights_only=True)
    model.load_state_dict(state["model"])
    for optimizer, held in zip(chosen, state["optimizers"], strict=True):
        optimizer.load_state_dict(held)
    return Progress(**state["progress"])


def _forget_metrics_after(out: Path, step: int) -> None:
    """Rows that an interrupted run wrote after its last checkpoint are trained, and written, again."""
    path = out / METRICS
    if path.exists():
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(lines[: step + 1]))


def _write_metrics(out: Path, progress: Progress) -> None:
    path = out / METRICS
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["step_number", "tokens", "training_loss", "seconds"])
        writer.writerow([progress.step, progress.tokens, f"{progress.loss:.6f}", f"{progress.seconds:.2f}"])
