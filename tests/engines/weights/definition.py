"""What the architectures compute, written out in numpy: RMS norm, rotate-half rotary positions, grouped queries and a gated
MLP, with biases (Qwen2), norms of queries and keys (Qwen3, Gemma 3), Llama 3's scaled frequencies, fused projections and
longrope (Phi 3), norms around, softcaps and windows (Gemma). Compared once with transformers 5.24 on random weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

EMBED = "model.embed_tokens.weight"


def logits(config: Mapping[str, Any], weights: Mapping[str, Any], ids: list[int]) -> Any:
    """(T, vocabulary) of the definition, in float64."""
    kind = config["model_type"]
    gemma, sandwiched = kind.startswith("gemma"), kind in ("gemma2", "gemma3_text")
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head = config.get("head_dim") or config["hidden_size"] // heads
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    x, length = w[EMBED][ids], len(ids)
    if gemma:
        x = x * math.sqrt(config["hidden_size"])

    def norm(value: Any, name: str) -> Any:
        scale = w[f"{name}.weight"] + (1.0 if gemma else 0.0)
        return value / np.sqrt((value**2).mean(-1, keepdims=True) + config["rms_norm_eps"]) * scale

    def project(value: Any, name: str) -> Any:
        return value @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0.0)

    def split(value: Any, name: str, parts: Mapping[str, int]) -> list[Any]:
        """One projection for each part, or a fused one cut into them."""
        if kind == "phi3":
            fused = "qkv" if "q" in parts else "gate_up"
            return list(np.split(project(value, f"{name}{fused}_proj"), np.cumsum([*parts.values()])[:-1], axis=-1))
        return [project(value, f"{name}{part}_proj") for part in parts]

    for layer in range(config["num_hidden_layers"]):
        name = f"model.layers.{layer}"
        local = (kind == "gemma2" and layer % 2 == 0) or (kind == "gemma3_text" and layer % 6 != 5)
        angles = np.arange(length)[:, None] * frequencies(config, head, local=local and kind == "gemma3_text")
        cosine, sine = (amplitude(config) * np.concatenate([f(angles)] * 2, axis=1)[:, None] for f in (np.cos, np.sin))

        def rotated(value: Any, cosine: Any = cosine, sine: Any = sine) -> Any:
            return value * cosine + np.concatenate([-value[..., head // 2 :], value[..., : head // 2]], axis=-1) * sine

        inner = norm(x, f"{name}.input_layernorm")
        sizes = {"q": heads * head, "k": kv_heads * head, "v": kv_heads * head}
        q, k, v = (part.reshape(length, -1, head) for part in split(inner, f"{name}.self_attn.", sizes))
        if f"{name}.self_attn.q_norm.weight" in w:
            q, k = norm(q, f"{name}.self_attn.q_norm"), norm(k, f"{name}.self_attn.k_norm")
        q, k = rotated(q), np.repeat(rotated(k), heads // kv_heads, axis=1)
        scores = np.einsum("qhd,khd->hqk", q, k) / math.sqrt(head)
        if kind == "gemma2":
            scores = capped(scores, config["attn_logit_softcapping"])
        seen = np.tri(length, dtype=bool)
        if local:
            seen &= ~np.tri(length, k=-config["sliding_window"], dtype=bool)
        scores = np.where(seen, scores, -np.inf)
        mixed = np.einsum("hqk,khd->qhd", np.exp(log_softmax(scores)), np.repeat(v, heads // kv_heads, axis=1))
        attended = project(mixed.reshape(length, -1), f"{name}.self_attn.o_proj")
        x = x + (norm(attended, f"{name}.post_attention_layernorm") if sandwiched else attended)
        inner = norm(x, f"{name}.{'pre_feedforward' if sandwiched else 'post_attention'}_layernorm")
        width = config["intermediate_size"]
        gate, up = split(inner, f"{name}.mlp.", {"gate": width, "up": width})
        gated = project((gelu(gate) if gemma else gate / (1 + np.exp(-gate))) * up, f"{name}.mlp.down_proj")
        x = x + (norm(gated, f"{name}.post_feedforward_layernorm") if sandwiched else gated)
    found = norm(x, "model.norm") @ w.get("lm_head.weight", w[EMBED]).T
    return capped(found, config["final_logit_softcapping"]) if kind == "gemma2" else found


def gelu(x: Any) -> Any:
    """The tanh form (Hendrycks and Gimpel 2016)."""
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def capped(x: Any, cap: float) -> Any:
    return cap * np.tanh(x / cap)


def amplitude(config: Mapping[str, Any]) -> float:
    """What longrope multiplies rotary values with."""
    if (config.get("rope_scaling") or {}).get("rope_type") != "longrope":
        return 1.0
    original = config["original_max_position_embeddings"]
    return math.sqrt(1 + math.log(config["max_position_embeddings"] / original) / math.log(original))


def frequencies(config: Mapping[str, Any], head: int, *, local: bool = False) -> Any:
    theta = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]
    if local:
        theta = 10000.0
    plain = [theta ** (-2 * i / head) for i in range(head // 2)]
    scaling = config.get("rope_scaling") or {}
    if scaling.get("rope_type") == "linear":
        return np.array(plain) / scaling["factor"]
    if scaling.get("rope_type") == "longrope":
        # llama.cpp takes the long ones where its context is longer than what was trained, whatever the prompt's length.
        return np.array(plain) / np.array(scaling["long_factor"])
    if scaling.get("rope_type") != "llama3":
        return np.array(plain)
    scaled = []
    for frequency in plain:
        # Llama 3's rule, as its reference code has it: short waves stay, long ones are stretched, between is a blend.
        wave, original = 2 * math.pi / frequency, scaling["original_max_position_embeddings"]
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        if wave < original / high:
            scaled.append(frequency)
        elif wave > original / low:
            scaled.append(frequency / scaling["factor"])
        else:
            smooth = (original / wave - low) / (high - low)
            scaled.append((1 - smooth) * frequency / scaling["factor"] + smooth * frequency)
    return np.array(scaled)


def log_softmax(scores: Any) -> Any:
    shifted = scores - scores.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))
