"""A grown model computes what the smaller one did, and learns from there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("gguf")

import torch

from outcrop.engines.weights.errors import WeightsError
from outcrop.training import run
from outcrop.training.customizing import base as bases
from outcrop.training.growing import grown
from outcrop.training.model import Decoder
from outcrop.training.recipe import RecipeError, load

HOUSE = Path(__file__).resolve().parents[2] / "src/outcrop/house/house-nano-v1/house-nano-v1.gguf"
GROWN = """
name = "grown"
description = "A test's model."
start = "house-nano-v1"
held_out = 1
[model]
vocab_size = 2048
hidden_size = 256
intermediate_size = 640
layers = 8
heads = 8
kv_heads = 4
context = 2048
[train]
tokens = 600
tokens_per_step = 512
tokens_per_batch = 512
threads = 1
precision = "fp32"
[shares]
arithmetic = 100
"""


@pytest.mark.parametrize("layers", [6, 7, 14])
def test_a_grown_model_computes_the_same(layers: int) -> None:
    base = bases.load(HOUSE)
    small, large = base.model(), Decoder(replace(base.config, layers=layers))
    large.load_state_dict(grown(base, large.config))
    ids = torch.arange(5, 45)[None]
    with torch.no_grad():
        assert torch.equal(small(ids), large(ids))
        # What was added is not dead: it learns.
        large.train()
    large(ids).sum().backward()
    assert all(
        weight.grad is not None and weight.grad.abs().sum() > 0
        for n, weight in large.named_parameters()
        if "o_proj" in n
    )


def test_only_layers_can_be_added() -> None:
    base = bases.load(HOUSE)
    config = base.config
    others = (
        replace(config, layers=5),
        replace(config, hidden_size=512),
        replace(config, heads=4),
        replace(config, vocab_size=4096),
    )
    for other in others:
        with pytest.raises(WeightsError, match="cannot be grown"):
            grown(base, other)


def test_a_recipe_that_starts_from_a_shipped_model(tmp_path: Path) -> None:
    recipe = tmp_path / "grown.toml"
    recipe.write_text(GROWN)
    folder = run.train(recipe, tmp_path / "out")
    assert (folder / "grown.gguf").exists()
    assert (folder / "tokenizer.json").read_bytes() == HOUSE.with_name("tokenizer.json").read_bytes()
    lines = (tmp_path / "out" / "step_wise_training_metrics.csv").read_text().splitlines()
    # A model from nothing begins at the logarithm of its vocabulary, which is 7.6.
    assert float(lines[1].split(",")[2]) < 3


@pytest.mark.parametrize("shares", ["[shares]\nchess = 3", "[shares]\narithmetic = -1"])
def test_shares_of_families_that_are_none(tmp_path: Path, shares: str) -> None:
    (tmp_path / "bad.toml").write_text(GROWN.partition("[shares]")[0] + shares)
    with pytest.raises(RecipeError, match="shares"):
        load(tmp_path / "bad.toml")
