"""A trained model as a Hugging Face folder, and from that the GGUF file that the embedded engine reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch import Tensor

from outcrop.engines.weights import convert
from outcrop.training import parallel
from outcrop.training.model import Decoder
from outcrop.training.recipe import Recipe
from outcrop.training.tokenizer import END_OF_TEXT, END_OF_TURN, template_text


def write(model: Decoder, tokenizer: Tokenizer, folder: Path, recipe: Recipe) -> Path:
    """`folder` as transformers and vLLM read it (float16), and `NAME.gguf` (q8_0) in it; the path of that file.

    Of several processes the first writes; all must call it.
    """
    target, weights = folder / f"{recipe.name}.gguf", parallel.whole(model)
    if parallel.rank() != 0:
        return target
    end = tokenizer.token_to_id(END_OF_TURN)
    words = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END_OF_TURN,
        "pad_token": END_OF_TEXT,
        "add_bos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": model.config.context,
    }
    config = {**model.config.to_hf(), "eos_token_id": end}
    write_folder(folder, weights, config, tokenizer, words, template_text())
    convert.to_gguf(folder, target)
    return target


def write_folder(
    folder: Path,
    weights: Mapping[str, Tensor],
    config: Mapping[str, Any],
    tokenizer: Tokenizer,
    words: Mapping[str, Any],
    template: str | None,
) -> None:
    """`words` is tokenizer_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    halves = {name: value.detach().to("cpu", torch.float16).contiguous() for name, value in weights.items()}
    save_file(halves, folder / "model.safetensors", metadata={"format": "pt"})
    _write(folder / "config.json", config)
    _write(folder / "generation_config.json", {"eos_token_id": config["eos_token_id"]})
    _write(folder / "tokenizer_config.json", words)
    tokenizer.save(str(folder / "tokenizer.json"))
    if template is not None:
        (folder / "chat_template.jinja").write_text(template, "utf-8")


def _write(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", "utf-8")
