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
    where = device()
    random = torch.Generator().manual_seed(seed)
    ids, padding = _aligned(prompts)
    caches = [LayerCache() for _ in range(model.config.layers)]
    closing = torch.tensor(sorted(ends))
    answers: list[list[int]] = [[] for _ in prompts]
    open_ = torch.ones(len(prompts), dtype=torch.bool)
    for _ in range(max_tokens):
        start = ids.shape[1] if not answers[0] else 1
        whole = padding.max() + max(map(len, prompts)) - padding.max() + len(answers[0])
        logits = _next(model, ids, padding, int(whole), caches, where, bf16=bf16)
        chosen = _chosen(logits, temperature, random)
        for row, token in enumerate(chosen.tolist()):
            if open_[row]:
                answers[row].append(token)
        open_ &= ~torch.isin(chosen, closing)
        if not open_.any():
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
