"""What the same matrix is called in Hugging Face's files and in GGUF's, and in which order its rows stand there."""

from __future__ import annotations

from torch import Tensor

# Architectures whose arithmetic is the Decoder's -> GGUF's names of them
ARCHITECTURES = {
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "llama",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
}

_MODULES = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_OUTER = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
_OURS = {theirs: ours for ours, theirs in (_MODULES | _OUTER).items()}


def in_gguf(module: str) -> str:
    """model.layers.0.self_attn.q_proj -> blk.0.attn_q"""
    if module in _OUTER:
        return _OUTER[module]
    _, _, layer, rest = module.split(".", 3)
    return f"blk.{layer}.{_MODULES[rest]}"


def in_hugging_face(module: str) -> str | None:
    """blk.0.attn_q -> model.layers.0.self_attn.q_proj; None if there is no such module."""
    if not module.startswith("blk."):
        return _OURS.get(module)
    _, layer, rest = module.split(".", 2)
    return f"model.layers.{layer}.{_OURS[rest]}" if rest in _OURS else None


def interleaved(rows: Tensor, heads: int) -> Tensor:
    """(heads x width, ...) with rotary pairs a half head apart -> the same with pairs side by side, as GGUF's `llama` has q and k."""
    return rows.reshape(heads, 2, -1, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)


def apart(rows: Tensor, heads: int) -> Tensor:
    """The way back."""
    return rows.reshape(heads, -1, 2, *rows.shape[1:]).transpose(1, 2).reshape(rows.shape)
