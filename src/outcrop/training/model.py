"""A Llama-shaped decoder with Hugging Face's parameter names, so that its state dict is the HF checkpoint.

With biases on q, k and v it is Qwen2, with norms on q and k Qwen3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Up to this length the scores of all pairs are quicker on CPUs in bfloat16 than PyTorch's fused attention, whose backward is
# slow there: 2 to 5 times for 256 to 64 positions, on a Zen 5.
WHOLE = 512


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Sizes. `head_width` 0 means `hidden_size / heads`; `rope_factors` divide the rotary frequencies, one for each."""

    vocab_size: int = 2048
    hidden_size: int = 192
    intermediate_size: int = 512
    layers: int = 6
    heads: int = 6
    kv_heads: int = 6
    context: int = 2048
    rope_theta: float = 10000.0
    norm_eps: float = 1e-5
    head_width: int = 0
    tied: bool = True
    qkv_bias: bool = False
    qk_norm: bool = False
    rope_factors: tuple[float, ...] = ()

    @property
    def head_dim(self) -> int:
        return self.head_width or self.hidden_size // self.heads

    def to_hf(self) -> dict[str, Any]:
        """`config.json` of transformers' LlamaForCausalLM."""
        return {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "max_position_embeddings": self.context,
            "rope_theta": self.rope_theta,
            "rms_norm_eps": self.norm_eps,
            "hidden_act": "silu",
            "tie_word_embeddings": self.tied,
            "attention_bias": False,
            "mlp_bias": False,
            "torch_dtype": "float16",
            "bos_token_id": None,
            "eos_token_id": 2,
        }


def rotary(positions: Tensor, c: ModelConfig) -> tuple[Tensor, Tensor]:
    """Cosine and sine, each (..., T, head_dim), of the rotate-half form (Su et al. 2021, as in HF's Llama)."""
    exponents = torch.arange(0, c.head_dim, 2, device=positions.device, dtype=torch.float32) / c.head_dim
    frequencies = c.rope_theta**-exponents
    if c.rope_factors:
        frequencies = frequencies / torch.tensor(c.rope_factors, device=positions.device)
    angles = positions.float()[..., None] * frequencies
    angles = torch.cat((angles, angles), dim=-1)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """In the type of `x`: under autocast, float32 here would take twice the time for what is rounded right afterwards."""
    cosine, sine = cosine.to(x.dtype), sine.to(x.dtype)
    first, second = x.chunk(2, dim=-1)
    return x * cosine + torch.cat((-second, first), dim=-1) * sine


def within_documents(documents: Tensor) -> Tensor:
    """(B, T) numbers of documents -> (B, 1, T, T): which position sees which, its own past within its own document."""
    length = documents.shape[1]
    past = torch.ones(length, length, dtype=torch.bool, device=documents.device).tril()
    return ((documents[:, :, None] == documents[:, None, :]) & past)[:, None]


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """(B, heads, T, head_dim) each; `k` and `v` may have fewer heads. Without `mask` (B, 1, T, S) each position sees its past."""
    if mask is None and q.shape[2] <= WHOLE and q.dtype == torch.bfloat16 and q.device.type == "cpu":
        return attend_whole(q, k, v)
    gqa = q.shape[1] != k.shape[1]
    return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=gqa)


def attend_whole(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """The scores of all pairs at once, as products of matrices."""
    batch, heads, length, width = q.shape
    k, v = (t.repeat_interleave(heads // t.shape[1], dim=1).flatten(0, 1) for t in (k, v))
    future = torch.full((length, length), -torch.inf, dtype=q.dtype, device=q.device).triu(1)
    scores = torch.baddbmm(future.expand(batch * heads, -1, -1), q.flatten(0, 1), k.transpose(1, 2), alpha=width**-0.5)
    return torch.bmm(scores.softmax(-1), v).view(batch, heads, length, width)


class LayerCache:
    """Keys and values (B, heads, T, head_dim) of what a layer has seen."""

    def __init__(self) -> None:
        self._seen: tuple[Tensor, Tensor] | None = None

    def extended(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """With those of new positions behind them."""
        if self._seen is not None:
            keys, values = (torch.cat(pair, dim=2) for pair in zip(self._seen, (keys, values), strict=True))
        self._seen = keys, values
        return keys, values


class Attention(nn.Module):
    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        self.c = c
        self.q_proj = nn.Linear(c.hidden_size, c.heads * c.head_dim, bias=c.qkv_bias)
        self.k_proj = nn.Linear(c.hidden_size, c.kv_heads * c.head_dim, bias=c.qkv_bias)
        self.v_proj = nn.Linear(c.hidden_size, c.kv_heads * c.head_dim, bias=c.qkv_bias)
        self.o_proj = nn.Linear(c.heads * c.head_dim, c.hidden_size, bias=False)
        if c.qk_norm:
            self.q_norm = nn.RMSNorm(c.head_dim, eps=c.norm_eps)
            self.k_norm = nn.RMSNorm(c.head_dim, eps=c.norm_eps)

    def forward(
        self, x: Tensor, cosine: Tensor, sine: Tensor, mask: Tensor | None, cache: LayerCache | None = None
    ) -> Tensor:
        batch, length, _ = x.shape
        q = self.q_proj(x).view(batch, length, self.c.heads, -1)
        k = self.k_proj(x).view(batch, length, self.c.kv_heads, -1)
        v = self.v_proj(x).view(batch, length, self.c.kv_heads, -1).transpose(1, 2)
        if self.c.qk_norm:
            q, k = self.q_norm(q), self.k_norm(k)
        q, k = rotate(q.transpose(1, 2), cosine, sine), rotate(k.transpose(1, 2), cosine, sine)
        # Under autocast norms of q and k leave float32, and attention wants one type.
        q, k = q.to(v.dtype), k.to(v.dtype)
        if cache is not None:
            k, v = cache.extended(k, v)
        out = attend(q, k, v, mask)
        mixed: Tensor = self.o_proj(out.transpose(1, 2).reshape(batch, length, -1))
        return mixed


class MLP(nn.Module):
    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.up_proj = nn.Linear(c.hidden_size, c.intermediate_size, bias=False)
        self.down_proj = nn.Linear(c.intermediate_size, c.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))
        return out


class Layer(nn.Module):
    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(c.hidden_size, eps=c.norm_eps)
        self.self_attn = Attention(c)
        self.post_attention_layernorm = nn.RMSNorm(c.hidden_size, eps=c.norm_eps)
        self.mlp = MLP(c)

    def forward(
        self, x: Tensor, cosine: Tensor, sine: Tensor, mask: Tensor | None, cache: LayerCache | None = None
    ) -> Tensor:
        x = x + self.self_attn(lowered(self.input_layernorm(x)), cosine, sine, mask, cache)
        out: Tensor = x + self.mlp(lowered(self.post_attention_layernorm(x)))
        return out


def lowered(x: Tensor) -> Tensor:
    """In autocast's type once, which each product that takes it would do anew."""
    kind = x.device.type
    lower = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return x.to(torch.get_autocast_dtype(kind)) if lower else x


class Body(nn.Module):
    def __init__(self, c: ModelConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(c.vocab_size, c.hidden_size)
        self.layers = nn.ModuleList(Layer(c) for _ in range(c.layers))
        self.norm = nn.RMSNorm(c.hidden_size, eps=c.norm_eps)


class Decoder(nn.Module):
    """Logits in one call, because sharded weights are whole only within it."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.model = Body(config)
        if not config.tied:
            self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.apply(self._initialise)
        for name, weight in self.named_parameters():
            # Residual branches start small, so that depth does not blow up the stream (GPT-2).
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                nn.init.normal_(weight, std=0.02 / (2 * config.layers) ** 0.5)

    @staticmethod
    def _initialise(module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(
        self,
        ids: Tensor,
        documents: Tensor | None = None,
        positions: Tensor | None = None,
        wanted: Tensor | None = None,
        caches: Sequence[LayerCache] | None = None,
        seen: Tensor | None = None,
    ) -> Tensor:
        """`ids` (B, T) -> logits (B, T, V); with `wanted` (B, T), a mask, only there: (N, V).

        `documents` (B, T) numbers the documents that share a row, `positions` (B, T) counts within each. `caches`, one for
        each layer, hold what came before the T new positions; `seen` (B, 1, T, S) then says which of all each one sees.
        """
        if positions is None:
            positions = torch.arange(ids.shape[1], device=ids.device)
        cosine, sine = rotary(positions, self.config)
        if positions.ndim == 2:
            cosine, sine = cosine[:, None], sine[:, None]
        mask = seen if documents is None else within_documents(documents)
        x = self.model.embed_tokens(ids)
        for number, layer in enumerate(self.model.layers):
            x = layer(x, cosine, sine, mask, None if caches is None else caches[number])
        hidden = self.model.norm(x if wanted is None else x[wanted])
        head = self.model.embed_tokens if self.config.tied else self.lm_head
        return F.linear(hidden, head.weight)

    def parameters_count(self) -> int:
        return sum(parameter.numel() for parameter in self.parameters())


def compile_layers(model: Decoder) -> None:
    """At the first call; layers share what is compiled. Trainium's compiler knows fixed shapes only, and makes a program for each."""
    where = device().type
    for layer in model.model.layers:
        layer.compile(
            backend="neuron" if where == "neuron" else "inductor", dynamic=False if where == "neuron" else None
        )


def device() -> torch.device:
    """The accelerator there is (cuda, mps, neuron, ...), else the CPU."""
    return (
        torch.accelerator.current_accelerator() or torch.device("cpu")
        if torch.accelerator.is_available()
        else torch.device("cpu")
    )
