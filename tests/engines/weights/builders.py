"""Model files made by hand, byte by byte, so that they can be wrong in any way."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

UINT32, FLOAT32, TEXT, ARRAY, UINT64 = 4, 6, 8, 9, 10

Entry = tuple[str, int, bytes]


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def string(key: str, value: str) -> Entry:
    return key, TEXT, text(value)


def number(key: str, value: int) -> Entry:
    return key, UINT32, struct.pack("<I", value)


def array(key: str, kind: int, length: int, data: bytes) -> Entry:
    return key, ARRAY, struct.pack("<IQ", kind, length) + data


def strings(key: str, values: Sequence[str]) -> Entry:
    return array(key, TEXT, len(values), b"".join(text(value) for value in values))


def tensor(name: str, shape: Sequence[int], kind: int = 0, offset: int = 0) -> bytes:
    sizes = struct.pack(f"<{len(shape)}Q", *shape)
    return text(name) + struct.pack("<I", len(shape)) + sizes + struct.pack("<IQ", kind, offset)


MODEL: tuple[Entry, ...] = (
    string("general.architecture", "llama"),
    string("general.name", "small"),
    number("llama.context_length", 512),
    number("llama.embedding_length", 32),
    string("tokenizer.ggml.model", "gpt2"),
    strings("tokenizer.ggml.tokens", [f"t{i}" for i in range(100)]),
    string("tokenizer.chat_template", "{{ messages }}"),
)


def gguf(
    entries: Sequence[Entry] = MODEL,
    tensors: Sequence[bytes] = (tensor("token_embd.weight", (32, 4)),),
    *,
    magic: bytes = b"GGUF",
    version: int = 3,
    counts: tuple[int, int] | None = None,
    data_bytes: int = 512,
) -> bytes:
    """`counts` are of tensors and of entries, where they shall lie."""
    of_tensors, of_entries = counts or (len(tensors), len(entries))
    head = magic + struct.pack("<IQQ", version, of_tensors, of_entries)
    head += b"".join(text(key) + struct.pack("<I", kind) + value for key, kind, value in entries)
    head += b"".join(tensors)
    return head + bytes(-len(head) % 32) + bytes(data_bytes)


def safetensors(tensors: Mapping[str, tuple[str, Sequence[int], bytes]]) -> bytes:
    header: dict[str, Any] = {}
    data = b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    return raw_safetensors(header, data)


def raw_safetensors(header: object, data: bytes = b"") -> bytes:
    head = json.dumps(header).encode()
    return struct.pack("<Q", len(head)) + head + data


CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 260,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
}
ADDED = ("<|endoftext|>", "<|im_end|>", "<tool_call>")
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
SMOLLM = {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, BYTE_LEVEL]}


def byte_letters() -> list[str]:
    """The 256 letters that byte-level BPE writes bytes with (GPT-2's `bytes_to_unicode`)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in shown]
    letters = {byte: chr(byte) for byte in shown} | {byte: chr(256 + i) for i, byte in enumerate(hidden)}
    return [letters[byte] for byte in range(256)]


def tokenizer_json() -> dict[str, Any]:
    vocab = {content: i for i, content in enumerate([*ADDED, *byte_letters(), "Ġt"])}
    added = [
        {
            "id": i, "content": content, "special": content != "<tool_call>", "normalized": False,
            "single_word": False, "lstrip": False, "rstrip": False,
        }
        for i, content in enumerate(ADDED)
    ]  # fmt: skip
    return {
        "version": "1.0",
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": SMOLLM,
        "decoder": BYTE_LEVEL,
        "model": {"type": "BPE", "vocab": vocab, "merges": [["Ġ", "t"]]},
    }


def weight_shapes(config: Mapping[str, Any] = CONFIG) -> dict[str, tuple[int, ...]]:
    """Hugging Face's names and shapes of a tied Llama's weights."""
    width, inner = config["hidden_size"], config["intermediate_size"]
    head = config.get("head_dim") or width // config["num_attention_heads"]
    queries, keys = head * config["num_attention_heads"], head * config["num_key_value_heads"]
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (config["vocab_size"], width)}
    for layer in range(config["num_hidden_layers"]):
        shapes |= {
            f"model.layers.{layer}.{name}.weight": shape
            for name, shape in {
                "input_layernorm": (width,),
                "self_attn.q_proj": (queries, width),
                "self_attn.k_proj": (keys, width),
                "self_attn.v_proj": (keys, width),
                "self_attn.o_proj": (width, queries),
                "post_attention_layernorm": (width,),
                "mlp.gate_proj": (inner, width),
                "mlp.up_proj": (inner, width),
                "mlp.down_proj": (width, inner),
            }.items()
        }
    return shapes | {"model.norm.weight": (width,)}


def folder(path: Path, **config: Any) -> Path:
    """A sound Hugging Face folder with weights that are all zero."""
    path.mkdir(parents=True, exist_ok=True)
    whole = CONFIG | config
    weights: dict[str, tuple[str, Sequence[int], bytes]] = {}
    for name, shape in weight_shapes(whole).items():
        count = 1
        for length in shape:
            count *= length
        weights[name] = ("F16", shape, bytes(2 * count))
    (path / "config.json").write_text(json.dumps(whole))
    (path / "tokenizer.json").write_text(json.dumps(tokenizer_json()))
    settings = {"eos_token": "<|im_end|>", "add_bos_token": False, "chat_template": "{{ messages }}"}
    (path / "tokenizer_config.json").write_text(json.dumps(settings))
    (path / "model.safetensors").write_bytes(safetensors(weights))
    return path
