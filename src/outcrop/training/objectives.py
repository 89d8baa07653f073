"""What is made small."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from outcrop.training.batches import IGNORED, Batch

# (model, batch on the model's device) -> the loss summed over what is counted, and how much was counted, both scalars.
Objective = Callable[[nn.Module, Batch], tuple[Tensor, Tensor]]


def next_token(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Cross-entropy, summed over the targets. On CPUs the head runs only where there is one; other devices want fixed shapes."""
    wanted = batch.targets != IGNORED
    if batch.inputs.device.type == "cpu":
        logits = model(batch.inputs, batch.documents, batch.positions, wanted)
        loss = F.cross_entropy(logits.float(), batch.targets[wanted], reduction="sum")
    else:
        logits = model(batch.inputs, batch.documents, batch.positions)
        flat = logits.float().flatten(0, 1)
        loss = F.cross_entropy(flat, batch.targets.flatten(), reduction="sum", ignore_index=IGNORED)
    return loss, wanted.sum()
