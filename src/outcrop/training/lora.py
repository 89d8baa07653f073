"""Low-rank adapters (Hu et al. 2021): a frozen matrix and, beside it, a product of two small ones that is trained."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from outcrop.training.model import Decoder, ModelConfig
from outcrop.training.names import in_gguf, interleaved

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
# PEFT's names begin with this.
_PEFT = "base_model.model."


class AdapterError(Exception):
    """A sentence on why an adapter does not fit."""


class LoraLinear(nn.Module):
    """`weight` (out, in) stays; `lora_a` (rank, in) and `lora_b` (out, rank), zero at first, are trained."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float, frozen_type: torch.dtype) -> None:
        super().__init__()
        self.scale = alpha / rank
        self.weight = nn.Parameter(base.weight.detach().to(frozen_type), requires_grad=False)
        self.bias = None if base.bias is None else nn.Parameter(base.bias.detach(), requires_grad=False)
        where = base.weight.device
        self.lora_a = nn.Parameter(torch.empty(rank, base.in_features, device=where))
        self.lora_b = nn.Parameter(torch.zeros(base.out_features, rank, device=where))
        nn.init.kaiming_uniform_(self.lora_a, a=math.sqrt(5))

    def forward(self, x: Tensor) -> Tensor:
        beside = F.linear(F.linear(x, self.lora_a), self.lora_b)
        return F.linear(x, self.weight, self.bias) + self.scale * beside


def add_adapters(model: Decoder, rank: int, alpha: float, *, bf16: bool) -> None:
    """Freezes all weights and puts an adapter beside every matrix of every layer.

    Under bfloat16 autocast the frozen matrices may as well be kept in it: each product would round them anyway.
    """
    model.requires_grad_(False)
    for part in list(model.modules()):
        for name, module in list(part.named_children()):
            if name in TARGETS and isinstance(module, nn.Linear):
                setattr(part, name, LoraLinear(module, rank, alpha, torch.bfloat16 if bf16 else torch.float32))


def merged(weights: Mapping[str, Tensor], adapter: Mapping[str, Tensor], scale: float) -> dict[str, Tensor]:
    """The base model's weights with the adapter's product added, in float32."""
    found = dict(weights)
    for name, a in adapter.items():
        if name.endswith(".lora_a"):
            stem = name.removesuffix(".lora_a")
            found[f"{stem}.weight"] = weights[f"{stem}.weight"].float() + scale * adapter[f"{stem}.lora_b"] @ a
    return found


def write_peft(adapter: Mapping[str, Tensor], folder: Path, base: str, rank: int, alpha: float) -> None:
    """The layout of the library PEFT, which vLLM and transformers read."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({_peft_name(name): value.contiguous() for name, value in adapter.items()}, folder / ADAPTER_WEIGHTS)
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "target_modules": list(TARGETS),
    }
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")


ADAPTER_WEIGHTS = "adapter_model.safetensors"


def read_peft(folder: Path, model: Decoder, rank: int, alpha: float) -> None:
    """Goes on from an adapter that `write_peft` wrote. AdapterError if it has another rank, scale or base."""
    try:
        config = json.loads((folder / "adapter_config.json").read_text("utf-8"))
        given = load_file(folder / ADAPTER_WEIGHTS)
    except (OSError, ValueError) as problem:
        raise AdapterError(f"The adapter {folder} cannot be read: {problem}") from None
    if (config.get("r"), config.get("lora_alpha")) != (rank, alpha):
        raise AdapterError(
            f"The adapter {folder} has rank {config.get('r')} and alpha {config.get('lora_alpha')}: "
            f"lora_rank and lora_alpha ({rank}, {alpha}) must be the same to go on from it."
        )
    wanted = {_peft_name(name): p for name, p in model.named_parameters() if p.requires_grad}
    if {name: p.shape for name, p in wanted.items()} != {name: t.shape for name, t in given.items()}:
        raise AdapterError(f"The adapter {folder} was made for another model.")
    with torch.no_grad():
        for name, parameter in wanted.items():
            parameter.copy_(given[name])


def _peft_name(name: str) -> str:
    return _PEFT + name.replace(".lora_a", ".lora_A.weight").replace(".lora_b", ".lora_B.weight")


def write_gguf(
    adapter: Mapping[str, Tensor], target: Path, architecture: str, config: ModelConfig, alpha: float
) -> None:
    """What llama.cpp adds to the base model's GGUF file when it is served. Written beside and renamed."""
    import gguf

    partial = target.with_name(f"{target.name}.partial")
    writer: Any = gguf.GGUFWriter(partial, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    for name, value in adapter.items():
        writer.add_tensor(_gguf_name(name), _gguf_rows(name, value, architecture, config).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    partial.replace(target)


def _gguf_name(name: str) -> str:
    """model.layers.0.self_attn.q_proj.lora_a -> blk.0.attn_q.weight.lora_a"""
    module, matrix = name.rsplit(".", 1)
    return f"{in_gguf(module)}.weight.{matrix}"


def _gguf_rows(name: str, value: Tensor, architecture: str, config: ModelConfig) -> Tensor:
    """GGUF's `llama` has the rows of q and k in another order, so their `lora_b` must have it, too."""
    heads = {"q_proj.lora_b": config.heads, "k_proj.lora_b": config.kv_heads}.get(".".join(name.split(".")[-2:]))
    whole = value.float().contiguous()
    if architecture != "llama" or heads is None:
        return whole
    return interleaved(whole, heads).contiguous()
