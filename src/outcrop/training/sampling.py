"""Answers sampled from a model that is being trained: plain, batched, with a cache, the same ones under the same seed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from outcrop.training.model import Decoder, LayerCache, device


@torch.no_grad()
def sample(
    model: Decoder,
    prompts: Sequence[Sequence[int]],
    *,
    max_tokens: int,
    ends: Collection[int],
    seed: int,
    temperature: float = 1.0,
    bf16: bool = False,
) -> list[list[int]]:
    """The continuation of each prompt, with the token that ended it if one did. Temperature 0 takes the likeliest token."""
    where, random = device(), torch.Generator().manual_seed(seed)
    ids, padding = _aligned(prompts)
    caches = [LayerCache() for _ in range(model.config.layers)]
    closing, known = torch.tensor(sorted(ends)), 0
    answers: list[list[int]] = [[] for _ in prompts]
    going = torch.ones(len(prompts), dtype=torch.bool)
    for _ in range(max_tokens):
        columns = torch.arange(known, known + ids.shape[1])
        known += ids.shape[1]
        with torch.autocast(where.type, torch.bfloat16, enabled=bf16):
            logits = model(
                ids.to(where),
                positions=(columns - padding[:, None]).clamp(min=0).to(where),
                wanted=(columns == known - 1).expand(ids.shape).to(where),
                caches=caches,
                seen=_seen(columns, known, padding).to(where),
            )
        chosen = _chosen(logits.float().cpu(), temperature, random)
        for row in going.nonzero().flatten().tolist():
            answers[row].append(int(chosen[row]))
        going &= ~torch.isin(chosen, closing)
        if not going.any():
            break
        ids = chosen[:, None]
    return answers


def _aligned(prompts: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Prompts that end in the same column, and how many columns each leaves empty in front."""
    width = max(map(len, prompts))
    ids = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
    return ids, torch.tensor([width - len(prompt) for prompt in prompts])


def _seen(columns: Tensor, known: int, padding: Tensor) -> Tensor:
    """(B, 1, T, S): each column sees those before it that are not empty, and itself, since none may see nothing."""
    every = torch.arange(known)
    past = every[None, :] <= columns[:, None]
    itself = every[None, :] == columns[:, None]
    full = every[None, None, :] >= padding[:, None, None]
    return ((past[None] & full) | itself[None])[:, None]


def _chosen(logits: Tensor, temperature: float, random: torch.Generator) -> Tensor:
    if temperature == 0:
        return logits.argmax(-1)
    return torch.multinomial((logits / temperature).softmax(-1), 1, generator=random)[:, 0]
