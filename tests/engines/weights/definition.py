"""What Llama, Mistral, Qwen2 and Qwen3 compute, written out in numpy: RMS norm, rotate-half rotary positions, grouped
queries and SwiGLU, with biases (Qwen2), norms of queries and keys (Qwen3) and Llama 3's scaled frequencies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

EMBED = "model.embed_tokens.weight"


def logits(config: Mapping[str, Any], weights: Mapping[str, Any], ids: list[int]) -> Any:
    """(T, vocabulary) of the definition, in float64."""
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    head = config.get("head_dim") or config["hidden_size"] // heads
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    x, length = w[EMBED][ids], len(ids)
    angles = np.arange(length)[:, None] * frequencies(config, head)
    cosine, sine = (np.concatenate([f(angles)] * 2, axis=1)[:, None] for f in (np.cos, np.sin))

    def norm(value: Any, scale: Any) -> Any:
        return value / np.sqrt((value**2).mean(-1, keepdims=True) + config["rms_norm_eps"]) * scale

    def project(value: Any, name: str) -> Any:
        return value @ w[f"{name}.weight"].T + w.get(f"{name}.bias", 0.0)

    def rotated(value: Any) -> Any:
        return value * cosine + np.concatenate([-value[..., head // 2 :], value[..., : head // 2]], axis=-1) * sine

    for layer in range(config["num_hidden_layers"]):
        name = f"model.layers.{layer}"
        inner = norm(x, w[f"{name}.input_layernorm.weight"])
        q = project(inner, f"{name}.self_attn.q_proj").reshape(length, heads, head)
        k = project(inner, f"{name}.self_attn.k_proj").reshape(length, kv_heads, head)
        v = project(inner, f"{name}.self_attn.v_proj").reshape(length, kv_heads, head)
        if f"{name}.self_attn.q_norm.weight" in w:
            q, k = norm(q, w[f"{name}.self_attn.q_norm.weight"]), norm(k, w[f"{name}.self_attn.k_norm.weight"])
        q, k = rotated(q), np.repeat(rotated(k), heads // kv_heads, axis=1)
        scores = np.einsum("qhd,khd->hqk", q, k) / math.sqrt(head)
        scores = np.where(np.tri(length, dtype=bool), scores, -np.inf)
        mixed = np.einsum("hqk,khd->qhd", np.exp(log_softmax(scores)), np.repeat(v, heads // kv_heads, axis=1))
        x = x + project(mixed.reshape(length, -1), f"{name}.self_attn.o_proj")
        inner = norm(x, w[f"{name}.post_attention_layernorm.weight"])
        gate = project(inner, f"{name}.mlp.gate_proj")
        x = x + project(gate / (1 + np.exp(-gate)) * project(inner, f"{name}.mlp.up_proj"), f"{name}.mlp.down_proj")
    return norm(x, w["model.norm.weight"]) @ w.get("lm_head.weight", w[EMBED]).T


def frequencies(config: Mapping[str, Any], head: int) -> Any:
    theta = config.get("rope_theta") or config["rope_parameters"]["rope_theta"]
    plain = [theta ** (-2 * i / head) for i in range(head // 2)]
    scaling = config.get("rope_scaling") or {}
    if scaling.get("rope_type") == "linear":
        return np.array(plain) / scaling["factor"]
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
