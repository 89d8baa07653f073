"""Base models: PyTorch computes what each architecture's definition says, from a folder and from a GGUF file alike."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("tokenizers")
pytest.importorskip("gguf")

import numpy as np
import torch
from safetensors.numpy import save_file

from outcrop.engines.weights import WeightsError, convert
from outcrop.training.customizing import base as bases
from tests.engines.weights import builders, llama
from tests.engines.weights.definition import logits
from tests.training.customizing.conftest import HOUSE

LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
CASES: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama with its own head": {"tie_word_embeddings": False},
    "llama3 scaling": {"rope_scaling": LLAMA3},
    "linear scaling": {"rope_scaling": {"rope_type": "linear", "factor": 4.0}},
    "mistral": {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": None},
    "qwen2": {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "rms_norm_eps": 1e-6},
    "qwen3 with wide heads": {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 32},
}
PROMPT = [7, 99, 150, 42, 42, 250, 11, 180, 64, 65, 30, 201]


def random_folder(path: Path, config: dict[str, Any]) -> dict[str, Any]:
    """Its weights, float32."""
    random = np.random.default_rng(2)
    shapes = builders.weight_shapes(config)
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = shapes["model.embed_tokens.weight"]
    for name, shape in list(shapes.items()):
        if config["model_type"] == "qwen2" and name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")):
            shapes[name.replace(".weight", ".bias")] = shape[:1]
        if config["model_type"] == "qwen3" and name.endswith("q_proj.weight"):
            for part in ("q_norm", "k_norm"):
                shapes[name.replace("q_proj", part)] = (config["head_dim"],)
    weights = {
        name: (random.normal(size=shape) * shape[-1] ** -0.5 + (len(shape) == 1)).astype(np.float32)
        for name, shape in shapes.items()
    }
    builders.folder(path)
    (path / "config.json").write_text(json.dumps(config))
    save_file(weights, path / "model.safetensors")
    return weights


@pytest.mark.parametrize("case", CASES)
def test_pytorch_computes_what_the_definition_says(tmp_path: Path, case: str) -> None:
    config = builders.CONFIG | CASES[case]
    weights = random_folder(tmp_path / "model", config)
    model = bases.load(tmp_path / "model").model()
    with torch.no_grad():
        found = model(torch.tensor([PROMPT]))[0].numpy()
    assert np.abs(found - logits(config, weights, PROMPT)).max() < 1e-4


@pytest.mark.parametrize("quantization", ["f16", "q8_0"])
def test_a_gguf_file_is_read_back(
    tmp_path: Path, tiny_base: Path, quantization: convert.Quantization, unfinished: list[int], barred: list[int]
) -> None:
    """The same model but for rounding; the same numbers as llama.cpp's."""
    file = tiny_base.parent / f"{quantization}.gguf"
    convert.to_gguf(tiny_base, file, quantization)
    (file.parent / "tokenizer.json").write_bytes((tiny_base / "tokenizer.json").read_bytes())
    folder, base = bases.load(tiny_base), bases.load(file)
    assert (base.config, base.ends, base.chat_template) == (folder.config, folder.ends, folder.chat_template)
    for name, weight in folder.weights().items():
        assert float((base.weights()[name] - weight).abs().max()) <= 0.01 * float(weight.abs().max()), name
    ids = base.tokenizer.encode("Say hello to Ada Lovelace.").ids
    (answer,) = llama.ask(file, tmp_path, llama.greedy(ids, 8, unfinished))
    with torch.no_grad():
        expected = base.model()(torch.tensor([ids + answer["tokens"][:-1]]))[0].log_softmax(-1)
    llama.assert_computes(answer, expected[len(ids) - 1 :], 0.05 if quantization == "f16" else 0.25, barred)


def test_the_house_model() -> None:
    base = bases.load(HOUSE)
    assert (base.config.kv_heads, base.config.tied, base.hf_config["eos_token_id"]) == (4, True, base.ends[0])
    assert base.tokenizer.id_to_token(base.ends[0]) == "<|im_end|>"
    assert base.model().parameters_count() == 4_656_384


def test_what_cannot_be_trained(tmp_path: Path) -> None:
    gpt = builders.folder(tmp_path / "gpt", architectures=["GPT2LMHeadModel"])
    with pytest.raises(WeightsError, match="GPT2LMHeadModel"):
        bases.load(gpt)
    lone = tmp_path / "lone.gguf"
    lone.write_bytes(HOUSE.read_bytes())
    with pytest.raises(WeightsError, match=r"tokenizer\.json beside it"):
        bases.load(lone)
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "tokenizer.json").write_bytes((HOUSE.parent / "tokenizer.json").read_bytes())
    (tmp_path / "bare" / "bare.gguf").write_bytes(builders.gguf())
    with pytest.raises(WeightsError, match=r"does not say 'llama\.attention\.head_count'"):
        bases.load(tmp_path / "bare" / "bare.gguf")
    (tmp_path / "noise.gguf").write_bytes(b"noise")
    with pytest.raises(WeightsError, match="not a sound GGUF"):
        bases.load(tmp_path / "noise.gguf")
    with pytest.raises(WeightsError, match="cannot be read"):
        bases.load(tmp_path / "nothing")
    scaled = builders.folder(tmp_path / "scaled", rope_scaling=LLAMA3)
    convert.to_gguf(scaled, tmp_path / "scaled" / "scaled.gguf", "f16")
    with pytest.raises(WeightsError, match="scales its rotary positions"):
        bases.load(tmp_path / "scaled" / "scaled.gguf")
    small = builders.folder(tmp_path / "small", num_hidden_layers=1)
    (small / "config.json").write_text(json.dumps(builders.CONFIG | {"intermediate_size": 128}))
    with pytest.raises(WeightsError, match="size mismatch"):
        bases.load(small).model()
