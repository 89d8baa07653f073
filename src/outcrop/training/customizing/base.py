"""The model that is customized: a Hugging Face folder, or a GGUF file whose weights are made whole numbers' reals again."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor

from outcrop.engines.weights import huggingface
from outcrop.engines.weights.errors import WeightsError
from outcrop.engines.weights.shape import scaling_kind, shape_of
from outcrop.training.model import Decoder, ModelConfig
from outcrop.training.names import ARCHITECTURES, apart, in_hugging_face
from outcrop.training.tokenizer import Template


@dataclass(frozen=True, slots=True)
class Base:
    """`architecture` is GGUF's name; `hf_config`, `words` (tokenizer_config.json) and `chat_template` go into exports.

    `ends`: the ids that end a turn or a text; the first is put after documents.
    """

    path: Path
    architecture: str
    config: ModelConfig
    hf_config: Mapping[str, Any]
    tokenizer: Tokenizer
    words: Mapping[str, Any]
    chat_template: str | None
    ends: tuple[int, ...]

    def weights(self) -> dict[str, Tensor]:
        """By Hugging Face's names, float32."""
        found = _gguf_weights(self.path, self.config, self.architecture) if self.path.is_file() else _hf(self.path)
        if self.config.tied:
            found.pop("lm_head.weight", None)
        return found

    def model(self) -> Decoder:
        with torch.device("meta"):
            model = Decoder(self.config)
        try:
            model.load_state_dict(self.weights(), assign=True)
        except RuntimeError as problem:
            raise WeightsError(f"{self.path}: {problem}") from None
        return model

    def template(self) -> Template | None:
        special = {name: text for name in ("bos_token", "eos_token") if (text := _text(self.words.get(name)))}
        return None if self.chat_template is None else Template(self.chat_template, special)


def load(path: Path) -> Base:
    """WeightsError with a sentence if it is nothing that can be trained here."""
    try:
        return _from_gguf(path) if path.is_file() else _from_folder(path)
    except KeyError as missing:
        raise WeightsError(f"{path} does not say {missing}, which training needs.") from None


def _from_folder(path: Path) -> Base:
    source = huggingface.check(path)
    names = source.config.get("architectures")
    name = names[0] if isinstance(names, list) and names else names
    if name not in ARCHITECTURES:
        raise WeightsError(
            f"{path} is a {str(name)[:80]}, which cannot be trained here: {', '.join(ARCHITECTURES)} can."
        )
    shape = shape_of(source)
    kind = scaling_kind(shape)
    if kind not in ("default", "linear", "llama3"):
        raise WeightsError(f"{path} scales its rotary positions by {kind!r}, which cannot be trained here.")
    config = ModelConfig(
        int(source.config["vocab_size"]),
        shape.width,
        shape.inner,
        shape.layers,
        shape.heads,
        shape.kv_heads,
        shape.context,
        shape.theta,
        shape.epsilon,
        shape.head_width,
        shape.tied,
        qkv_bias="model.layers.0.self_attn.q_proj.bias" in source.tensors,
        qk_norm="model.layers.0.self_attn.q_norm.weight" in source.tensors,
        rope_factors=_factors(shape.scaling, kind, shape.theta, shape.head_width),
    )
    tokenizer = Tokenizer.from_file(str(path / "tokenizer.json"))
    ends = _ends(path, source.config, source.tokenizer_config, tokenizer)
    return Base(
        path, ARCHITECTURES[name], config, source.config, tokenizer, source.tokenizer_config, source.chat_template, ends
    )  # fmt: skip


def _factors(scaling: Mapping[str, Any], kind: str, theta: float, width: int) -> tuple[float, ...]:
    """What each rotary frequency is divided by (as in transformers' `modeling_rope_utils`)."""
    if kind == "default":
        return ()
    factor = float(scaling["factor"])
    if kind == "linear":
        return (factor,) * (width // 2)
    low, high = float(scaling["low_freq_factor"]), float(scaling["high_freq_factor"])
    original = float(scaling["original_max_position_embeddings"])
    turns = (original * theta ** (-index / width) / (2 * math.pi) for index in range(0, width, 2))
    smooth = (min(1.0, max(0.0, (turn - low) / (high - low))) for turn in turns)
    return tuple(1 / ((1 - share) / factor + share) for share in smooth)


def _ends(path: Path, config: Mapping[str, Any], words: Mapping[str, Any], tokenizer: Tokenizer) -> tuple[int, ...]:
    generation = path / "generation_config.json"
    generated = json.loads(generation.read_text("utf-8")) if generation.is_file() else {}
    named = tokenizer.token_to_id(_text(words.get("eos_token")) or "")
    found: list[int] = [] if named is None else [named]
    for given in (config.get("eos_token_id"), generated.get("eos_token_id")):
        found += given if isinstance(given, list) else [given] if isinstance(given, int) else []
    if not found:
        raise WeightsError(f"{path} does not say which token ends a text (eos_token).")
    return tuple(dict.fromkeys(found))


def _hf(path: Path) -> dict[str, Tensor]:
    files = {tensor.file for tensor in huggingface.check(path).tensors.values()}
    found: dict[str, Tensor] = {}
    for file in sorted(files):
        found.update(load_file(file))
    return {name: value.float() for name, value in found.items() if not name.endswith("rotary_emb.inv_freq")}


def _from_gguf(path: Path) -> Base:
    """The tokenizer is the one beside the file: GGUF does not hold all of it."""
    import gguf

    try:
        known = {name: field.contents() for name, field in gguf.GGUFReader(path).fields.items()}
    except (OSError, ValueError, IndexError, KeyError) as problem:
        raise WeightsError(f"{path} is not a sound GGUF file: {problem}.") from None
    names = [tensor.name for tensor in gguf.GGUFReader(path).tensors]
    if known.get("general.architecture") != "llama":
        raise WeightsError(
            f"{path} is a GGUF file of the architecture {str(known.get('general.architecture'))[:80]!r}. Of GGUF files only "
            "`llama` can be trained; give the Hugging Face folder it was made from."
        )
    # How Llama 3's frequencies are scaled stands there as numbers, from which no config.json can be written.
    if "rope_freqs.weight" in names or known.get("llama.rope.scaling.type", "none") != "none":
        raise WeightsError(f"{path} scales its rotary positions; give the Hugging Face folder it was made from.")
    if not (path.parent / "tokenizer.json").is_file():
        raise WeightsError(
            f"{path} has no tokenizer.json beside it, which training needs; give the Hugging Face folder."
        )
    heads = known["llama.attention.head_count"]
    words = known["tokenizer.ggml.tokens"]
    config = ModelConfig(
        len(words),
        known["llama.embedding_length"],
        known["llama.feed_forward_length"],
        known["llama.block_count"],
        heads,
        known.get("llama.attention.head_count_kv", heads),
        known["llama.context_length"],
        float(known.get("llama.rope.freq_base", 10000.0)),
        # GGUF keeps it in float32.
        float(f"{known['llama.attention.layer_norm_rms_epsilon']:.6g}"),
        known.get("llama.attention.key_length", 0),
        tied="output.weight" not in names,
        qkv_bias="blk.0.attn_q.bias" in names,
    )
    end = known["tokenizer.ggml.eos_token_id"]
    described = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": words[end],
        "add_bos_token": bool(known.get("tokenizer.ggml.add_bos_token", False)),
        "clean_up_tokenization_spaces": False,
        "model_max_length": config.context,
    }
    if (bos := known.get("tokenizer.ggml.bos_token_id")) is not None:
        described["bos_token"] = words[bos]
    hf_config = {**config.to_hf(), "eos_token_id": end, "bos_token_id": bos}
    tokenizer = Tokenizer.from_file(str(path.parent / "tokenizer.json"))
    template = known.get("tokenizer.chat_template")
    return Base(path, "llama", config, hf_config, tokenizer, described, template, (end,))


def _gguf_weights(path: Path, config: ModelConfig, architecture: str) -> dict[str, Tensor]:
    import gguf

    found: dict[str, Tensor] = {}
    for tensor in gguf.GGUFReader(path).tensors:
        module, kind = tensor.name.rsplit(".", 1)
        ours = in_hugging_face(module)
        if ours is None:
            raise WeightsError(f"{path} has weights that are not known here, such as {tensor.name[:120]}.")
        # A copy: the reader maps the file, and training writes.
        values = torch.from_numpy(gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype("float32", copy=True))
        heads = {"attn_q": config.heads, "attn_k": config.kv_heads}.get(module.rsplit(".", 1)[-1])
        found[f"{ours}.{kind}"] = values if heads is None or architecture != "llama" else apart(values, heads)
    return found


def _text(token: object) -> str | None:
    """Older files have an object for a token, newer ones its text."""
    found = token.get("content") if isinstance(token, dict) else token
    return found if isinstance(found, str) else None
