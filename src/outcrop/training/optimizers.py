"""Optimizers, their rates, and how fast the device could be."""

from __future__ import annotations

import time
from typing import Literal

import torch
from torch import nn

from outcrop.training.muon import Muon


def adamw(model: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """Norms and biases do not decay."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=learning_rate, betas=(0.9, 0.95))


def muon_and_adamw(
    model: nn.Module, muon_rate: float, adamw_rate: float, weight_decay: float
) -> list[torch.optim.Optimizer]:
    """Muon for the hidden matrices; AdamW for the embedding, the head and the norms."""
    outer = ("embed_tokens.weight", "lm_head.weight")
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    hidden = [p for name, p in named if p.ndim == 2 and not name.endswith(outer)]
    others = [p for name, p in named if p.ndim != 2 or name.endswith(outer)]
    chosen: list[torch.optim.Optimizer] = [Muon(hidden, lr=muon_rate, weight_decay=weight_decay)]
    if others:
        chosen.append(torch.optim.AdamW(others, lr=adamw_rate, betas=(0.9, 0.95), weight_decay=0.0))
    return chosen


def warmed_and_falling(step: int, steps: int, warmup: int, least: float = 0.1) -> float:
    """Share of the learning rate for step `step` (from 0) of `steps`: linearly up for `warmup`, then linearly down to `least`."""
    if step < warmup:
        return (step + 1) / (warmup + 1)
    return max(least, 1 - (1 - least) * (step - warmup) / max(1, steps - warmup))


def in_bfloat16(precision: Literal["auto", "fp32", "bf16"], where: torch.device) -> bool:
    """On a CPU without bfloat16 arithmetic, autocast is slower than float32."""
    if precision != "auto":
        return precision == "bf16"
    return where.type != "cpu" or bool(torch.cpu.get_capabilities().get("avx512_bf16"))


def flops_per_token(model: nn.Module, layers: int, width: int, length: int) -> float:
    """Forward and backward: 6 for each trained weight, 4 for each frozen one, and attention over half of `length`."""
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    return 6.0 * trained + 4.0 * frozen + 6.0 * layers * width * length


def peak_flops(where: torch.device, *, bf16: bool) -> float:
    """Measured by a product of large matrices, so that it holds for any device and any number of threads."""
    size = 1024 if where.type == "cpu" else 8192
    matrix = torch.ones(size, size, device=where, dtype=torch.bfloat16 if bf16 else torch.float32)
    best = float("inf")
    for _ in range(4):
        began = time.perf_counter()
        matrix @ matrix
        if where.type != "cpu":
            torch.accelerator.synchronize()
        best = min(best, time.perf_counter() - began)
    return 2.0 * size**3 / best
