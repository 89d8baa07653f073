"""What the trainer's tests share. Nothing of the extra `train` is imported here, because not all of them need it."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest

from outcrop.training.generators import training_example

if TYPE_CHECKING:
    from tokenizers import Tokenizer

RECIPE = """
name = "tiny"
description = "A test's model."
tokenizer_examples = 200
[model]
vocab_size = 512
hidden_size = 64
intermediate_size = 96
layers = 2
heads = 4
kv_heads = 2
context = 512
[train]
tokens = 12000
tokens_per_step = 1024
tokens_per_batch = 512
threads = 1
precision = "fp32"
checkpoint_seconds = 0
"""


@pytest.fixture(scope="session")
def tokenizer() -> Tokenizer:
    from outcrop.training.tokenizer import Template, train

    random, template = Random("tests"), Template()
    examples = (training_example(random) for _ in range(200))
    return train((template.render(example.messages, example.tools) for example in examples), 512)


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.toml"
    file.write_text(RECIPE)
    return file


@pytest.fixture(scope="session")
def unfinished(tokenizer: Tokenizer) -> list[int]:
    """Tokens that are part of a character: llama.cpp keeps to itself what it thought of them."""
    return [number for number in range(tokenizer.get_vocab_size()) if "\ufffd" in tokenizer.decode([number])]


@pytest.fixture(scope="session")
def barred(tokenizer: Tokenizer, unfinished: list[int]) -> list[int]:
    """With the ends of texts and turns: what is not taken where the best token is asked for."""
    return [*unfinished, *tokenizer.encode("<|endoftext|><|im_end|>").ids]
