"""A deeper model grown from a trained one, which at first computes exactly what that one does.

Each new layer is a copy of the one before it whose outputs are zero (block expansion; Wu et al. 2024, "LLaMA Pro").
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from outcrop.engines.weights.errors import WeightsError
from outcrop.training.customizing.base import Base
from outcrop.training.model import ModelConfig

# Where a layer's two branches end: with zeros there it passes on what it gets.
_ENDS = ("self_attn.o_proj.weight", "mlp.down_proj.weight")


def grown(start: Base, config: ModelConfig) -> dict[str, Tensor]:
    """Weights of a model of `config`. WeightsError if it differs from `start` in more than its layers, or has fewer."""
    before = start.config.layers
    same = replace(start.config, layers=config.layers, context=config.context, head_width=config.head_width)
    if same != config or before > config.layers:
        raise WeightsError(
            f"{start.path} has {start.config}, which a model of {config} cannot be grown from: only the layers may be more."
        )
    given = start.weights()
    # New layer number i goes back to old layer number origins[i]; the first from each is the old one itself.
    origins = [place * before // config.layers for place in range(config.layers)]
    found = {name: weight for name, weight in given.items() if not name.startswith("model.layers.")}
    for place, origin in enumerate(origins):
        added = place > 0 and origins[place - 1] == origin
        prefix = f"model.layers.{origin}."
        for name, weight in given.items():
            if name.startswith(prefix):
                part = name.removeprefix(prefix)
                value = torch.zeros_like(weight) if added and part in _ENDS else weight.clone()
                found[f"model.layers.{place}.{part}"] = value
    return found
