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
    rotary_width: int
    # Of layers that see no further back; None where all see everything.
    window: int | None = None
    # Of attention's and of the last logits.
    softcaps: tuple[float, float] | None = None
    fused: bool = False

    @property
    def original_context(self) -> int:
        return int(self.scaling["original_max_position_embeddings"])

    @property
    def attention_factor(self) -> float:
        """What longrope multiplies rotary values with, as transformers' `modeling_rope_utils` has it."""
        stretch = max(1.0, self.context / self.original_context)
        return math.sqrt(1 + math.log(stretch) / math.log(self.original_context))


def shape_of(source: HfFolder) -> Shape:
    config, form = source.config, source.architecture
    # transformers 5 gathers all that is rotary in `rope_parameters`, for each kind of layer where there are two.
    rotary = config.get("rope_parameters") or {}
    try:
        local = rotary.get("sliding_attention") or {}
        rotary = rotary.get("full_attention") or rotary
        heads = int(config["num_attention_heads"])
        width = int(config["hidden_size"])
        head = int(config.get("head_dim") or width // heads)
        shape = Shape(
            width,
            int(config["num_hidden_layers"]),
            heads,
            int(config.get("num_key_value_heads") or heads),
            head,
            int(config["intermediate_size"]),
            int(config["max_position_embeddings"]) if form.slides else _context(config),
            float(config["rms_norm_eps"]),
            float(config.get("rope_theta") or rotary.get("rope_theta") or 10000.0),
            _scaling(config, rotary),
            bool(config.get("tie_word_embeddings", "lm_head.weight" not in source.tensors)),
            int(head * float(config.get("partial_rotary_factor") or rotary.get("partial_rotary_factor") or 1.0)),
            int(config["sliding_window"]) if form.slides else None,
            _softcaps(config) if form.name == "gemma2" else None,
            form.name == "phi3",
        )
        _check_scaling(shape)
        if form.slides:
            _check_gemma(config, shape, local)
    except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError, OverflowError) as problem:
        raise WeightsError(f"{source.path}/config.json lacks or misstates {problem}.") from None
    if min(shape.layers, shape.heads, shape.kv_heads, shape.head_width) < 1 or shape.layers > len(source.tensors):
        raise WeightsError(f"{source.path}/config.json states sizes that its weights do not have.")
    activation = config.get("hidden_activation") or config.get("hidden_act") or form.activation[0]
    if activation not in form.activation:
        raise WeightsError(
            f"{source.path} has the activation {activation!r:.80}; only {form.activation[-1]} is known for {form.name}."
        )
    known = ("default", "longrope") if shape.fused else ("default", "linear", "llama3")
    if scaling_kind(shape) not in known:
        raise WeightsError(
            f"{source.path} scales its rotary positions by {scaling_kind(shape)!r}, which is not known here."
        )
    return shape


def _scaling(config: Mapping[str, Any], rotary: Mapping[str, Any]) -> dict[str, Any]:
    """With the context that it was trained in, which Phi has beside it."""
    found = dict(config.get("rope_scaling") or rotary)
    if original := config.get("original_max_position_embeddings"):
        found.setdefault("original_max_position_embeddings", original)
    return found


def _softcaps(config: Mapping[str, Any]) -> tuple[float, float]:
    return float(config["attn_logit_softcapping"]), float(config["final_logit_softcapping"])


def _check_gemma(config: Mapping[str, Any], shape: Shape, local: Mapping[str, Any]) -> None:
    """ValueError naming what llama.cpp takes for granted and the file has otherwise."""
    if float(config.get("query_pre_attn_scalar") or shape.head_width) != shape.head_width:
        raise ValueError("query_pre_attn_scalar, which is known only where it is head_dim")
    period = 2 if shape.softcaps is not None else 6
    if int(config.get("sliding_window_pattern") or period) != period:
        raise ValueError("sliding_window_pattern")
    kinds = ["full_attention" if (layer + 1) % period == 0 else "sliding_attention" for layer in range(shape.layers)]
    if config.get("layer_types", kinds) != kinds:
        raise ValueError("layer_types")
    if shape.softcaps is None and float(config.get("rope_local_base_freq") or local.get("rope_theta") or 1e4) != 1e4:
        raise ValueError("rope_local_base_freq, which is known only where it is 10000")
    if shape.softcaps is None and (config.get("attn_logit_softcapping") or config.get("final_logit_softcapping")):
        raise ValueError("attn_logit_softcapping, which Gemma 3 does not have")


def _context(config: Mapping[str, Any]) -> int:
    """Tokens. Only within its sliding window is a model the same without one, which GGUF's `llama` lacks."""
    whole, window = int(config["max_position_embeddings"]), config.get("sliding_window")
    slides = config.get("use_sliding_window", config.get("model_type") in ("mistral", "phi3"))
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
    if kind == "longrope":
        for name in _LONGROPE.values():
            if len([float(factor) for factor in shape.scaling[name]]) != shape.rotary_width // 2:
                raise ValueError(f"the rotary {name}")
        if not shape.original_context > 1:
            raise ValueError("original_max_position_embeddings")


# GGUF's name of a tensor of factors -> config.json's
_LONGROPE = {"rope_factors_long.weight": "long_factor", "rope_factors_short.weight": "short_factor"}


def scaling_kind(shape: Shape) -> str:
    kind = str(shape.scaling.get("rope_type") or shape.scaling.get("type") or "default")
    # Phi's first name for it.
    return "longrope" if kind == "su" else kind


def size_of(name: str, shape: Shape, vocab_size: int) -> tuple[int, ...]:
    """What llama.cpp will expect of the tensor, rows first."""
    queries, keys = shape.heads * shape.head_width, shape.kv_heads * shape.head_width
    rows = {
        "token_embd": vocab_size, "output": vocab_size, "attn_q": queries, "attn_k": keys, "attn_v": keys,
        "attn_output": shape.width, "ffn_gate": shape.inner, "ffn_up": shape.inner * (2 if shape.fused else 1),
        "ffn_down": shape.width, "attn_qkv": queries + 2 * keys,
    }  # fmt: skip
    inputs = {"attn_output": queries, "ffn_down": shape.inner}
    *_, part, kind = name.split(".")
    if part.endswith("_norm"):
        return (shape.head_width if part in ("attn_q_norm", "attn_k_norm") else shape.width,)
    return (rows[part],) if kind == "bias" else (rows[part], inputs.get(part, shape.width))


def rotary_factors(shape: Shape) -> dict[str, NDArray[np.float32]]:
    """What each rotary frequency is divided by, under GGUF's names of tensors ("llama3" and "longrope", as in transformers'
    `modeling_rope_utils`).
    """
    import numpy as np

    scaling, kind = shape.scaling, scaling_kind(shape)
    if kind == "longrope":
        return {theirs: np.array(scaling[ours], np.float32) for theirs, ours in _LONGROPE.items()}
    if kind != "llama3":
        return {}
    factor, low, high = (float(scaling[key]) for key in ("factor", "low_freq_factor", "high_freq_factor"))
    frequencies = shape.theta ** (-np.arange(0, shape.head_width, 2, dtype=np.float64) / shape.head_width)
    turns = float(scaling["original_max_position_embeddings"]) * frequencies / (2 * math.pi)
    smooth = np.clip((turns - low) / (high - low), 0.0, 1.0)
    return {"rope_freqs.weight": (1 / ((1 - smooth) / factor + smooth)).astype(np.float32)}
