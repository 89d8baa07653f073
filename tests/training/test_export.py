"""An exported model: llama.cpp computes what PyTorch does, and the folder is what transformers expects."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("tokenizers")
pytest.importorskip("gguf")

import torch
from tokenizers import Tokenizer

from outcrop.engines.weights import convert, gguf, huggingface
from outcrop.training import export
from outcrop.training.model import Decoder
from outcrop.training.pretraining import config_of
from outcrop.training.recipe import load
from outcrop.training.tokenizer import END_OF_TURN, Template
from tests.engines.weights import llama

PROMPTS = ("Say hello to Ada Lovelace.", "What is 17 + 25?", "Äpfel, 北京 und 😀: repeat them!")


@pytest.fixture
def model(recipe_file: Path) -> Decoder:
    """Random, with weights large enough that attention and positions matter, rounded as the file rounds them."""
    torch.manual_seed(3)
    model = Decoder(config_of(load(recipe_file)))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.normal_(std=1.4 * weight.shape[1] ** -0.5)
            else:
                weight.uniform_(0.5, 1.5)
            weight.copy_(weight.half().float())
    return model


def log_probabilities(model: Decoder, ids: list[int]) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = model(torch.tensor([ids]))[0].log_softmax(-1)
    return found


# q8_0 rounds each weight to 1/127 of its block's largest; that moves log-probabilities, and equal computation is what
# float16 shows.
@pytest.mark.parametrize("quantization", ["f16", "q8_0"])
def test_llama_cpp_computes_what_pytorch_does(
    tmp_path: Path,
    model: Decoder,
    tokenizer: Tokenizer,
    recipe_file: Path,
    quantization: convert.Quantization,
    unfinished: list[int],
    barred: list[int],
) -> None:
    file = export.write(model, tokenizer, tmp_path / "tiny", load(recipe_file))
    assert file == tmp_path / "tiny" / "tiny.gguf"
    if quantization == "f16":
        file = tmp_path / "f16.gguf"
        convert.to_gguf(tmp_path / "tiny", file, "f16")
    prompts = [
        tokenizer.encode(Template().render([{"role": "user", "content": text}], generate=True)).ids for text in PROMPTS
    ]
    answers = llama.ask(file, tmp_path, *(llama.greedy(ids, 16, unfinished) for ids in prompts))
    for ids, answer in zip(prompts, answers, strict=True):
        expected = log_probabilities(model, ids + answer["tokens"][:-1])[len(ids) - 1 :]
        llama.assert_computes(answer, expected, 0.03 if quantization == "f16" else 0.25, barred)


def test_llama_cpp_cuts_texts_as_the_trainer_did(
    tmp_path: Path, model: Decoder, tokenizer: Tokenizer, recipe_file: Path
) -> None:
    file = export.write(model, tokenizer, tmp_path / "tiny", load(recipe_file))
    texts = [Template().render([{"role": "user", "content": text}], generate=True) for text in PROMPTS]
    texts += ['<tool_call>\n{"name": "a", "arguments": {}}\n</tool_call><|im_end|>\n', "  2024-11-25\n\n\tx = 3.14  "]
    answers = llama.ask(file, tmp_path, *(llama.tokenize(text) for text in texts))
    assert [answer["tokens"] for answer in answers] == [tokenizer.encode(text).ids for text in texts]


def test_the_chat_template_is_rendered_alike(
    tmp_path: Path, model: Decoder, tokenizer: Tokenizer, recipe_file: Path
) -> None:
    file = export.write(model, tokenizer, tmp_path / "tiny", load(recipe_file))
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    (answer,) = llama.ask(file, tmp_path, ("//apply-template", {"messages": messages}))
    assert answer["prompt"] == Template().render(messages, generate=True)


def test_the_folder(tmp_path: Path, model: Decoder, tokenizer: Tokenizer, recipe_file: Path) -> None:
    file = export.write(model, tokenizer, tmp_path / "tiny", load(recipe_file))
    folder = huggingface.check(tmp_path / "tiny")
    end = tokenizer.token_to_id(END_OF_TURN)
    assert folder.config["eos_token_id"] == end
    assert folder.tokenizer_config["eos_token"] == END_OF_TURN
    assert json.loads((tmp_path / "tiny" / "generation_config.json").read_text()) == {"eos_token_id": end}
    assert set(folder.tensors) == set(model.state_dict())
    assert {tensor.dtype for tensor in folder.tensors.values()} == {"F16"}
    found = gguf.inspect(file)
    assert (found.architecture, found.context_length, found.vocab_size) == ("llama", 512, 512)
    assert found.chat_template == folder.chat_template


def test_exporting_again_replaces_what_was_there(
    tmp_path: Path, model: Decoder, tokenizer: Tokenizer, recipe_file: Path
) -> None:
    first = export.write(model, tokenizer, tmp_path / "tiny", load(recipe_file)).read_bytes()
    assert export.write(model, tokenizer, tmp_path / "tiny", load(recipe_file)).read_bytes() == first
    assert not list((tmp_path / "tiny").glob("*.partial"))
