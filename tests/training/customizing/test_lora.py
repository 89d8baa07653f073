"""Adapters: nothing at first, equal to the merged model afterwards, and the same in llama.cpp."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("tokenizers")
pytest.importorskip("gguf")

import torch
from safetensors.torch import load_file
from torch import Tensor

from outcrop.engines.weights import convert
from outcrop.training import lora, parallel
from outcrop.training.customizing import base as bases
from outcrop.training.model import Decoder
from tests.engines.weights import llama

RANK, ALPHA = 4, 12.0
IDS = torch.tensor([[5, 80, 300, 7, 7, 200, 45, 9]])


def adapted(base: bases.Base, *, filled: bool = True) -> Decoder:
    """With an adapter that changes much, if `filled`."""
    torch.manual_seed(1)
    model = base.model()
    lora.add_adapters(model, RANK, ALPHA, bf16=False)
    if filled:
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith("lora_b"):
                    parameter.normal_(std=0.1)
    return model


def logits(model: Decoder, ids: Tensor = IDS) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(ids)[0].log_softmax(-1)
    return found


def test_a_new_adapter_changes_nothing_and_only_it_is_trained(tiny_base: Path) -> None:
    base = bases.load(tiny_base)
    model = adapted(base, filled=False)
    assert torch.equal(logits(model), logits(base.model()))
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert len(trained) == 2 * 7 * base.config.layers
    assert {name.rsplit(".", 1)[1] for name in trained} == {"lora_a", "lora_b"}
    model(IDS).sum().backward()
    assert all(p.grad is None for n, p in model.named_parameters() if n not in trained)


def test_the_merged_model_is_the_adapted_one(tiny_base: Path) -> None:
    base = bases.load(tiny_base)
    model, merged = adapted(base), base.model()
    assert float((logits(model) - logits(merged)).abs().max()) > 0.5
    merged.load_state_dict(lora.merged(base.weights(), parallel.whole(model, trained_only=True), ALPHA / RANK))
    assert torch.allclose(logits(model), logits(merged), atol=1e-4)


def test_llama_cpp_computes_the_adapted_model(
    tmp_path: Path, tiny_base: Path, unfinished: list[int], barred: list[int]
) -> None:
    base = bases.load(tiny_base)
    model = adapted(base)
    convert.to_gguf(tiny_base, tmp_path / "base.gguf", "f16")
    adapter = tmp_path / "adapter.gguf"
    lora.write_gguf(parallel.whole(model, trained_only=True), adapter, base.architecture, base.config, ALPHA)
    ids = base.tokenizer.encode("Say hello to Ada Lovelace.").ids
    (answer,) = llama.ask(tmp_path / "base.gguf", tmp_path, llama.greedy(ids, 12, unfinished), adapter=adapter)
    (without,) = llama.ask(tmp_path / "base.gguf", tmp_path, llama.greedy(ids, 12, unfinished))
    assert answer["tokens"] != without["tokens"]
    expected = logits(model, torch.tensor([ids + answer["tokens"][:-1]]))
    llama.assert_computes(answer, expected[len(ids) - 1 :], 0.05, barred)


def test_the_layout_is_peft_s(tmp_path: Path, tiny_base: Path) -> None:
    model = adapted(bases.load(tiny_base))
    lora.write_peft(parallel.whole(model, trained_only=True), tmp_path / "adapter", "tiny", RANK, ALPHA)
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", RANK, ALPHA)
    tensors = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    a = tensors["base_model.model.model.layers.1.mlp.down_proj.lora_A.weight"]
    b = tensors["base_model.model.model.layers.1.mlp.down_proj.lora_B.weight"]
    assert (a.shape, b.shape) == ((RANK, 96), (64, RANK))

    again = adapted(bases.load(tiny_base), filled=False)
    lora.read_peft(tmp_path / "adapter", again, RANK, ALPHA)
    assert torch.equal(logits(again), logits(model))
    with pytest.raises(lora.AdapterError, match="rank 4 and alpha"):
        lora.read_peft(tmp_path / "adapter", again, 8, ALPHA)
    with pytest.raises(lora.AdapterError, match="cannot be read"):
        lora.read_peft(tmp_path / "none", again, RANK, ALPHA)
