"""Distillation: a student learns the answers of a teacher, and where the teacher's weights are at hand its odds of each token.

Source: Hinton et al. 2015, "Distilling the Knowledge in a Neural Network".
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from outcrop.training import parallel
from outcrop.training.batches import IGNORED, Batch
from outcrop.training.customizing import base as bases
from outcrop.training.customizing.base import Base
from outcrop.training.customizing.spec import SpecError
from outcrop.training.model import Decoder, device
from outcrop.training.objectives import Objective


def teacher_of(path: Path, student: Base) -> Decoder:
    """Frozen, on the device. SpecError if it does not cut texts into the student's tokens."""
    teacher = bases.load(path)
    if teacher.tokenizer.get_vocab() != student.tokenizer.get_vocab():
        raise SpecError(
            f"The teacher {path} and the student {student.path} have different tokenizers, so odds of tokens cannot be "
            "compared. Leave the teacher out of the spec and let the student learn from its answers."
        )
    model = teacher.model().requires_grad_(False).to(device())
    parallel.shard(model)
    return model


def odds(teacher: nn.Module, weight: float, temperature: float) -> Objective:
    """`weight` times the divergence from the teacher's odds (squared temperature makes gradients comparable), rest cross-entropy."""

    def objective(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        wanted = batch.targets != IGNORED
        given = (batch.inputs, batch.documents, batch.positions, wanted)
        said = model(*given).float()
        with torch.no_grad():
            shown = teacher(*given).float()
        # Vocabularies may be padded to different sizes.
        size = min(said.shape[-1], shown.shape[-1])
        divergence = F.kl_div(
            F.log_softmax(said[:, :size] / temperature, -1),
            F.log_softmax(shown[:, :size] / temperature, -1),
            log_target=True,
            reduction="sum",
        )
        plain = F.cross_entropy(said, batch.targets[wanted], reduction="sum")
        return weight * temperature**2 * divergence + (1 - weight) * plain, wanted.sum()

    return objective
