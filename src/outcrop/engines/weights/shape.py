"""The sizes that config.json states, checked, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from outcrop.engines.weights.errors import WeightsError
from outcrop.engines.weights.huggingface import HfFolder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers of config.json that a converter needs."""

    width: int
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    inner: int
    context: int
    epsilon: float
    theta: float
    scaling: Mapping[str, Any]
    tied: bool


def shape_of(source: HfFolder) -> Shape:
    config = source.config
    # transformers 5 gathers all that is rotary in `rope_parameters`.
    rotary = config.get("rope_parameters") or {}
    try:
        heads = int(config["num_attention_heads"])
        width = int(config["hidden_size"])
        shape = Shape(
            width,
            int(config["num_hidden_layers"]),
            heads,
            int(config.get("num_key_value_heads") or heads),
            int(config.get("head_dim") or width // heads),
            int(config["intermediate_size"]),
            _context(config),
            float(config["rms_norm_eps"]),
            float(config.get("rope_theta") or rotary.get("rope_theta") or 10000.0),
            dict(config.get("rope_scaling") or rotary),
            bool(config.get("tie_word_embeddings", "lm_head.weight" not in source.tensors)),
        )
        _check_scaling(shape)
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError, OverflowError) as problem:
        raise WeightsError(f"{source.path}/config.json lacks or misstates {problem}.") from None
    if min(shape.layers, shape.heads, shape.kv_heads, shape.head_width) < 1 or shape.layers > len(source.tensors):
        raise WeightsError(f"{source.path}/config.json states sizes that its weights do not have.")
    if config.get("hidden_act", "silu") != "silu":
        raise WeightsError(f"{source.path} has the activation {config['hidden_act']!r:.80}; only silu is known here.")
    if scaling_kind(shape) not in ("default", "linear", "llama3"):
        raise WeightsError(
            f"{source.path} scales its rotary positions by {scaling_kind(shape)!r}, which is not known here."
        )
    return shape


def _context(config: Mapping[str, Any]) -> int:
    """Tokens. Only within its sliding window is a model the same without one, which GGUF's `llama` lacks."""
    whole, window = int(config["max_position_embeddings"]), config.get("sliding_window")
    slides = config.get("use_sliding_window", config.get("model_type") == "mistral")
    return min(whole, int(window)) if window and slides else whole


def _check_scaling(shape: Shape) -> None:
    """KeyError or ValueError naming what is wrong."""
    kind = scaling_kind(shape)
    if kind in ("linear", "llama3") and not float(shape.scaling["factor"]) > 0:
        raise ValueError("the rotary factor")
    if kind == "llama3":
        if not float(shape.scaling["high_freq_factor"]) > float(shape.scaling["low_freq_factor"]):
            raise ValueError("the rotary frequency factors")
        float(shape.scaling["original_max_position_embeddings"])


def scaling_kind(shape: Shape) -> str:
    return str(shape.scaling.get("rope_type") or shape.scaling.get("type") or "default")


def size_of(name: str, shape: Shape, vocab_size: int) -> tuple[int, ...]:
    """What llama.cpp will expect of the tensor, rows first."""
    queries, keys = shape.heads * shape.head_width, shape.kv_heads * shape.head_width
    rows = {
        "token_embd": vocab_size, "output": vocab_size, "attn_q": queries, "attn_k": keys, "attn_v": keys,
        "attn_output": shape.width, "ffn_gate": shape.inner, "ffn_up": shape.inner, "ffn_down": shape.width,
    }  # fmt: skip
    inputs = {"attn_output": queries, "ffn_down": shape.inner}
    *_, part, kind = name.split(".")
    if part.endswith("_norm"):
        return (shape.head_width if part in ("attn_q_norm", "attn_k_norm") else shape.width,)
    return (rows[part],) if kind == "bias" else (rows[part], inputs.get(part, shape.width))


def rope_factors(shape: Shape) -> NDArray[np.float32]:
    """What each rotary frequency is divided by ("llama3" scaling, as in transformers' `modeling_rope_utils`)."""
    import numpy as np

    scaling = shape.scaling
    factor, low, high = (float(scaling[key]) for key in ("factor", "low_freq_factor", "high_freq_factor"))
    original = float(scaling["original_max_position_embeddings"])
    frequencies = shape.theta ** (-np.arange(0, shape.head_width, 2, dtype=np.float64) / shape.head_width)
    turns = original * frequencies / (2 * math.pi)
    smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
    factors: NDArray[np.float32] = (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)
    return factors
