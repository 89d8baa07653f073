"""What the converter knows of each architecture: names of its weights, and where llama.cpp expects other numbers.

Sources: transformers' modelling code for what is computed, llama.cpp's for what it expects to read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

_ATTENTION = {
    "input_layernorm.weight": "attn_norm.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
}
_SWIGLU = {
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
}
_NORM_BEFORE = {"post_attention_layernorm.weight": "ffn_norm.weight"}
_NORMS_AROUND = {
    "post_attention_layernorm.weight": "post_attention_norm.weight",
    "pre_feedforward_layernorm.weight": "ffn_norm.weight",
    "post_feedforward_layernorm.weight": "post_ffw_norm.weight",
}
_BIASES = {f"self_attn.{part}_proj.bias": f"attn_{part}.bias" for part in "qkv"}
_QK_NORMS = {f"self_attn.{part}_norm.weight": f"attn_{part}_norm.weight" for part in "qk"}
_LLAMA = _ATTENTION | _NORM_BEFORE | _SWIGLU


@dataclass(frozen=True, slots=True)
class Architecture:
    """`name` is GGUF's. `layer`: Hugging Face's name within a layer -> GGUF's; those in `optional` may be missing.

    `interleaved`: rotary positions turn neighbouring pairs, not the halves of a head. `norms_of_one`: a norm's weight is
    stored as its distance from one. `activation` is what config.json must say, where it says anything. `slides`: some of
    its layers see a window only, and llama.cpp does it the same way.
    """

    name: str
    layer: Mapping[str, str]
    optional: Mapping[str, str] = field(default_factory=dict)
    interleaved: bool = False
    norms_of_one: bool = False
    activation: tuple[str, ...] = ("silu",)
    slides: bool = False


_GELU = ("gelu_pytorch_tanh",)
_LLAMAS = Architecture("llama", _LLAMA, _BIASES | _QK_NORMS, interleaved=True)
ARCHITECTURES: Mapping[str, Architecture] = {
    "LlamaForCausalLM": _LLAMAS,
    "MistralForCausalLM": _LLAMAS,
    "Qwen2ForCausalLM": Architecture("qwen2", _LLAMA, _BIASES),
    "Qwen3ForCausalLM": Architecture("qwen3", _LLAMA, _QK_NORMS | _BIASES),
    "Phi3ForCausalLM": Architecture(
        "phi3",
        {
            "input_layernorm.weight": "attn_norm.weight",
            "self_attn.qkv_proj.weight": "attn_qkv.weight",
            "self_attn.o_proj.weight": "attn_output.weight",
            "post_attention_layernorm.weight": "ffn_norm.weight",
            # Gate and up in one, which llama.cpp splits as well.
            "mlp.gate_up_proj.weight": "ffn_up.weight",
            "mlp.down_proj.weight": "ffn_down.weight",
        },
    ),
    # Gemma's first configurations say gelu, and its code computed the tanh form all the same.
    "GemmaForCausalLM": Architecture("gemma", _LLAMA, norms_of_one=True, activation=("gelu", *_GELU)),
    "Gemma2ForCausalLM": Architecture(
        "gemma2", _ATTENTION | _NORMS_AROUND | _SWIGLU, norms_of_one=True, activation=_GELU, slides=True
    ),
    "Gemma3ForCausalLM": Architecture(
        "gemma3", _ATTENTION | _QK_NORMS | _NORMS_AROUND | _SWIGLU, norms_of_one=True, activation=_GELU, slides=True
    ),
}
OUTER = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
