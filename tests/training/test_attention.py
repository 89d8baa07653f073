"""Attention as products of whole matrices is PyTorch's attention, and is taken where it is quicker."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch
import torch.nn.functional as F
from torch import Tensor

from outcrop.training import model
from outcrop.training.model import Decoder, ModelConfig, attend, attend_whole


def heads(count: int, length: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(3, length, count, 16, dtype=dtype).transpose(1, 2).requires_grad_()


def pytorch_s(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)


@pytest.mark.parametrize("kv_heads", [4, 2, 1])
@pytest.mark.parametrize("length", [1, 2, 33])
def test_it_is_pytorch_s_with_its_gradients(kv_heads: int, length: int) -> None:
    torch.manual_seed(2)
    given = q, k, v = tuple(heads(count, length, torch.float32) for count in (4, kv_heads, kv_heads))
    wanted = pytorch_s(q, k, v)
    found = attend_whole(q, k, v)
    assert torch.allclose(found, wanted, atol=1e-5)
    weights = torch.randn_like(wanted)
    for ours, theirs in zip(
        torch.autograd.grad((found * weights).sum(), given),
        torch.autograd.grad((wanted * weights).sum(), given),
        strict=True,
    ):
        assert torch.allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "length", "masked", "whole"),
    [
        (torch.bfloat16, 8, False, True),
        (torch.bfloat16, model.WHOLE + 1, False, False),
        (torch.bfloat16, 8, True, False),
        (torch.float32, 8, False, False),
    ],
)
def test_it_is_for_short_rows_in_bfloat16(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, length: int, masked: bool, whole: bool
) -> None:
    taken: list[Tensor] = []

    def noted(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        taken.append(q)
        return attend_whole(q, k, v)

    monkeypatch.setattr(model, "attend_whole", noted)
    q, k, v = (heads(count, length, dtype) for count in (4, 2, 2))
    mask = torch.ones(3, 1, length, length, dtype=torch.bool).tril() if masked else None
    found = attend(q, k, v, mask)
    assert bool(taken) is whole
    wanted = pytorch_s(q.float(), k.float(), v.float())
    assert torch.allclose(found.float(), wanted, atol=3e-2 if dtype == torch.bfloat16 else 1e-5)


@pytest.mark.parametrize("qk_norm", [False, True])
def test_the_model_in_bfloat16_says_about_what_it_says_in_float32(qk_norm: bool) -> None:
    torch.manual_seed(3)
    decoder = Decoder(ModelConfig(64, 64, 96, 2, 4, 2, 64, qk_norm=qk_norm))
    ids = torch.randint(0, 64, (2, 40))
    exact = F.cross_entropy(decoder(ids).flatten(0, 1), ids.flatten())
    with torch.autocast("cpu", torch.bfloat16):
        half = decoder(ids)
    assert half.dtype == torch.bfloat16
    assert F.cross_entropy(half.float().flatten(0, 1), ids.flatten()).item() == pytest.approx(exact.item(), rel=5e-3)
