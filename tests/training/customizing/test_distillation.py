"""A student learns a teacher's odds of each token; teachers that cut texts otherwise are refused."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

pytest.importorskip("torch")
pytest.importorskip("gguf")

import numpy as np
import torch
import torch.nn.functional as F

from outcrop.training.batches import Row, padded
from outcrop.training.customizing import base as bases
from outcrop.training.customizing.distillation import odds
from outcrop.training.customizing.spec import FAILED
from outcrop.training.generators import training_example
from outcrop.training.model import Decoder, ModelConfig
from tests.training.customizing.conftest import HOUSE, Trainer, spec_file, trained, write_lines


def small_student(folder: Path) -> Path:
    """Two layers that know nothing, with the house model's tokenizer."""
    from outcrop.training import export

    base = bases.load(HOUSE)
    torch.manual_seed(1)
    config = ModelConfig(base.config.vocab_size, 64, 128, 2, 4, 2, 256)
    export.write_folder(
        folder,
        dict(Decoder(config).state_dict()),
        {**config.to_hf(), "eos_token_id": base.ends[0]},
        base.tokenizer,
        base.words,
        base.chat_template,
    )
    return folder


def test_a_student_comes_closer_to_its_teacher(tmp_path: Path) -> None:
    random = Random(4)
    found: list[dict[str, str]] = []
    while len(found) < 60:
        example = training_example(random)
        if example.family == "arithmetic" and len(example.messages) == 2:
            found.append({"prompt": example.messages[0]["content"], "completion": example.messages[1]["content"]})
    write_lines(tmp_path / "train.jsonl", found[:48])
    write_lines(tmp_path / "held-out.jsonl", found[48:])
    spec = spec_file(
        tmp_path / "spec.json",
        base=small_student(tmp_path / "student"),
        kind="distillation",
        method="full",
        training=[tmp_path / "train.jsonl"],
        validation=[tmp_path / "held-out.jsonl"],
        hyperparameters={"epochs": 6, "batch_size": 8, "learning_rate": 3e-3},
        distillation={"teacher": str(HOUSE), "weight": 1.0},
    )
    result = trained(spec)[-1]["result"]
    losses = result["validation_losses"]
    assert losses[-1] < 0.6 * losses[0]
    assert Path(result["model_gguf"]).exists()


def test_the_objective_is_divergence_and_cross_entropy() -> None:
    torch.manual_seed(0)
    config = ModelConfig(50, 32, 64, 1, 2, 2, 64)
    student, teacher = Decoder(config), Decoder(config)
    row = Row(np.arange(1, 12), np.arange(11) > 4)
    batch = padded([row])
    wanted = batch.targets != -100
    said, shown = (model(batch.inputs)[wanted].float() for model in (student, teacher))
    plain = F.cross_entropy(said, batch.targets[wanted], reduction="sum")
    p, q = (shown / 2).log_softmax(-1), (said / 2).log_softmax(-1)
    divergence = (p.exp() * (p - q)).sum()
    loss, count = odds(teacher, 0.25, 2.0)(student, batch)
    assert int(count) == 6
    assert torch.allclose(loss, 0.25 * 4 * divergence + 0.75 * plain, rtol=1e-4)
    itself, _ = odds(student, 1.0, 2.0)(student, batch)
    assert abs(float(itself)) < 1e-4


def test_a_teacher_of_another_language_is_refused(tmp_path: Path, tiny_base: Path) -> None:
    write_lines(tmp_path / "train.jsonl", [{"prompt": "a", "completion": "b"}])
    spec = spec_file(
        tmp_path / "spec.json",
        base=HOUSE,
        kind="distillation",
        training=[tmp_path / "train.jsonl"],
        distillation={"teacher": str(tiny_base)},
    )
    status, told = Trainer(spec).finish()
    assert status == FAILED
    assert "different tokenizers" in told[-1]["reason"]


def test_without_a_teacher_its_answers_are_learnt(tmp_path: Path) -> None:
    write_lines(tmp_path / "train.jsonl", [{"prompt": f"Say {n}", "completion": f"zor {n}"} for n in range(8)])
    spec = spec_file(
        tmp_path / "spec.json",
        base=HOUSE,
        kind="distillation",
        training=[tmp_path / "train.jsonl"],
        hyperparameters={"epochs": 2, "batch_size": 4, "learning_rate": 1e-3},
    )
    told = [message for message in trained(spec) if message["type"] == "progress"]
    assert told[-1]["loss"] < told[0]["loss"]
