"""Whole runs in their own process: they learn, survive SIGKILL without a trace in the curve, refuse bad data, stop early."""

from __future__ import annotations

import json
import math
from pathlib import Path
from random import Random
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("tokenizers")
pytest.importorskip("gguf")

import torch

from outcrop.engines.weights import gguf, huggingface
from outcrop.training.batches import Row, padded
from outcrop.training.customizing import base as bases
from outcrop.training.customizing.spec import FAILED, INVALID
from outcrop.training.customizing.validation import mean_loss
from tests.engines.weights import llama
from tests.training.customizing.conftest import HOUSE, Trainer, losses, spec_file, trained, write_lines

DIGITS = ("zor", "bix", "lum", "tak", "nev", "wop", "gri", "fal", "mud", "ske")


def code_words(numbers: list[int]) -> list[dict[str, str]]:
    """A language that no model knows."""
    return [{"prompt": f"Code for {n}?", "completion": " ".join(DIGITS[int(d)] for d in str(n))} for n in numbers]


def test_an_adapter_learns_what_the_base_cannot_and_llama_cpp_serves_it(tmp_path: Path) -> None:
    numbers = Random(1).sample(range(100, 1000), 220)
    write_lines(tmp_path / "train.jsonl", code_words(numbers[:180]))
    held_out = code_words(numbers[180:])
    spec = spec_file(
        tmp_path / "spec.json",
        base=HOUSE,
        training=[tmp_path / "train.jsonl"],
        hyperparameters={"epochs": 6, "batch_size": 8, "learning_rate": 3e-3, "warmup_steps": 5},
    )
    result = trained(spec)[-1]["result"]
    before, after = right_answers(tmp_path, held_out, None), right_answers(tmp_path, held_out, result["adapter_gguf"])
    assert before <= 0.05
    assert after > 0.9


def right_answers(home: Path, records: list[dict[str, str]], adapter: str | None) -> float:
    """Share of greedy answers that are exactly right."""
    base = bases.load(HOUSE)
    template = base.template()
    assert template is not None
    prompts = [template.render([{"role": "user", "content": r["prompt"]}], generate=True) for r in records]
    body = {"n_predict": 24, "temperature": 0}
    asked = [("//completion", {"prompt": prompt, **body}) for prompt in prompts]
    answers = llama.ask(HOUSE, home, *asked, adapter=None if adapter is None else Path(adapter))
    right = [a["content"].strip() == r["completion"] for a, r in zip(answers, records, strict=True)]
    return float(sum(right) / len(right))


STORIES = [
    f"{name} the {animal} lives in {place} and eats {food}. Every evening {name} sings."
    for name in ("Mira", "Tolo", "Zane", "Quil", "Bo")
    for animal in ("heron", "badger", "newt")
    for place, food in (("Oslo", "figs"), ("Lima", "plums"), ("Perth", "beans"))
]


def test_continued_pre_training_lowers_the_perplexity_of_held_out_text(tmp_path: Path) -> None:
    Random(2).shuffle(texts := list(STORIES))
    write_lines(tmp_path / "train.jsonl", [{"input": text} for text in texts[:36]])
    spec = spec_file(
        tmp_path / "spec.json",
        base=HOUSE,
        kind="continued-pre-training",
        method="full",
        training=[tmp_path / "train.jsonl"],
        hyperparameters={"epochs": 3, "batch_size": 6, "learning_rate": 1e-3},
    )
    result = trained(spec)[-1]["result"]
    before, after = perplexity(HOUSE, texts[36:]), perplexity(Path(result["folder"]), texts[36:])
    assert after < before / 4
    assert (result["adapter"], result["adapter_gguf"]) == (None, None)
    assert gguf.inspect(Path(result["model_gguf"])).architecture == "llama"
    folder = huggingface.check(Path(result["folder"]))
    assert folder.chat_template == bases.load(HOUSE).chat_template


def perplexity(path: Path, texts: list[str]) -> float:
    base = bases.load(path)
    rows = [torch.tensor(base.tokenizer.encode(text).ids).numpy() for text in texts]
    batch = padded([Row(ids, torch.ones(len(ids), dtype=torch.bool).numpy()) for ids in rows])
    return math.exp(mean_loss(base.model(), [batch], bf16=False))


def tiny_run(folder: Path, base: Path, **parts: Any) -> Path:
    folder.mkdir(exist_ok=True)
    random = Random(3)
    numbers = [random.randrange(10 ** random.randint(1, 6)) for _ in range(40)]
    write_lines(folder / "train.jsonl", code_words(numbers))
    write_lines(folder / "held.jsonl", code_words(numbers[:4]))
    hyper = {"epochs": 2, "batch_size": 4, "learning_rate": 3e-3, "warmup_steps": 2, **parts.pop("hyperparameters", {})}
    return spec_file(
        folder / "spec.json",
        base=base,
        training=[folder / "train.jsonl"],
        validation=[folder / "held.jsonl"],
        checkpoint_seconds=0,
        hyperparameters=hyper,
        **parts,
    )


@pytest.mark.parametrize(("method", "kills"), [("lora", (3, 11)), ("full", (11,))])
def test_a_killed_run_ends_as_an_undisturbed_one(
    tmp_path: Path, tiny_base: Path, method: str, kills: tuple[int, ...]
) -> None:
    whole = tiny_run(tmp_path / "whole", tiny_base, method=method)
    broken = tiny_run(tmp_path / "broken", tiny_base, method=method)
    told = trained(whole)
    for step in kills:
        Trainer(broken).kill_at(step)
    assert not (broken.parent / "out" / "result.json").exists()
    again = trained(broken)
    first = next(message["step"] for message in again if message["type"] == "progress")
    # The checkpoint of the step it was killed at may have been written or not.
    assert first in (11, 12)
    for file in ("step_wise_training_metrics.csv", "validation_metrics.csv"):
        for ours, theirs in zip(losses(broken.parent / "out" / file), losses(whole.parent / "out" / file), strict=True):
            assert ours[:2] == theirs[:2]
            assert ours[2] == pytest.approx(theirs[2], abs=1e-6)
    assert len(losses(whole.parent / "out" / "step_wise_training_metrics.csv")) == 20
    for name in ("training_loss", "validation_losses"):
        assert again[-1]["result"][name] == pytest.approx(told[-1]["result"][name], abs=1e-6)


def test_what_is_told_and_written(tmp_path: Path, tiny_base: Path) -> None:
    spec = tiny_run(tmp_path / "run", tiny_base, merge=True, name="mine")
    told = trained(spec)
    assert [m["name"] for m in told if m["type"] == "phase"] == ["data_processing", "training", "exporting"]
    steps = [m for m in told if m["type"] == "progress"]
    assert [m["step"] for m in steps] == list(range(1, 21))
    assert [m["epoch"] for m in steps] == [1] * 10 + [2] * 10
    assert all(m["steps"] == 20 and m["tokens_per_second"] > 0 and 0 < m["mfu"] < 2 for m in steps)
    assert [(m["step"], m["epoch"]) for m in told if m["type"] == "validation"] == [(10, 1), (20, 2)]

    out = spec.parent / "out"
    result = told[-1]["result"]
    assert json.loads((out / "result.json").read_text()) == result
    assert (result["steps"], result["best_step"], result["stopped_early"]) == (20, 20, False)
    heads = {"training": "step_wise_training_metrics.csv", "validation": "validation_metrics.csv"}
    for kind, file in heads.items():
        head, row, *_ = (out / file).read_text().splitlines()
        assert head == f"step_number,epoch_number,{kind}_loss,perplexity"
        loss, odds = map(float, row.split(",")[2:])
        assert odds == pytest.approx(math.exp(loss), rel=1e-4)
    assert (out / "loss.svg").read_text().count("<polyline") == 2
    # The merged folder is what the adapter makes of the base.
    merged = bases.load(Path(result["folder"]))
    assert merged.path == (out / "model" / "mine").resolve()
    before, after = bases.load(tiny_base).weights(), merged.weights()
    assert any(float((after[name] - before[name]).abs().max()) > 0.01 for name in before if "proj" in name)

    again = trained(spec)
    assert not [m for m in again if m["type"] == "progress"]
    assert again[-1]["result"]["training_loss"] == result["training_loss"]


def test_it_stops_when_validation_no_longer_improves_and_keeps_the_best(tmp_path: Path, tiny_base: Path) -> None:
    folder = tmp_path / "run"
    hyper = {"epochs": 10, "learning_rate": 2e-2, "early_stopping_threshold": 0.01, "early_stopping_patience": 2}
    spec = tiny_run(folder, tiny_base, method="full", hyperparameters={**hyper, "validate_every": 2})
    # The opposite of what is trained on: from the first steps on it gets worse.
    write_lines(folder / "held.jsonl", [{"prompt": "Code for 5?", "completion": "qqq QQQ qqq"}])
    told = trained(spec)
    found = [(m["step"], m["loss"]) for m in told if m["type"] == "validation"]
    result = told[-1]["result"]
    assert result["stopped_early"]
    assert result["steps"] == found[-1][0] < 100
    best = min(found, key=lambda pair: pair[1])
    assert result["best_step"] == best[0] < result["steps"]
    kept = {place.name for place in (folder / "out" / "checkpoint").iterdir()}
    assert kept == {f"step-{result['steps']}", f"best-{best[0]}"}
    base = bases.load(Path(result["folder"]))
    from outcrop.training.customizing.prepared import PARSERS, prepare
    from outcrop.training.rows import RowSource

    files = {"validation": [str(folder / "held.jsonl")]}
    rows = prepare(base, PARSERS["fine-tuning"], files, tmp_path / "rows", 512)["validation"]
    assert rows is not None
    batches = [b for step in RowSource(rows, 1, 1, 64, 4096).steps((0, 0)) for b in step.pieces]
    assert mean_loss(base.model(), batches, bf16=False) == pytest.approx(best[1], abs=0.02)


def test_bad_data_is_refused_before_anything_is_trained(tmp_path: Path, tiny_base: Path) -> None:
    spec = tiny_run(tmp_path / "run", tiny_base)
    (tmp_path / "run" / "train.jsonl").write_text('{"prompt": "a", "completion": "b"}\n{"prompt": "a"}\n{\n')
    status, told = Trainer(spec).finish()
    assert status == INVALID
    assert [message["type"] for message in told] == ["phase", "invalid"]
    assert [problem[:19] for problem in told[-1]["problems"]] == ["train.jsonl line 2:", "train.jsonl line 3:"]
    assert not (tmp_path / "run" / "out" / "checkpoint").exists()


def test_a_folder_belongs_to_one_spec(tmp_path: Path, tiny_base: Path) -> None:
    trained(tiny_run(tmp_path / "run", tiny_base, hyperparameters={"epochs": 1}))
    status, told = Trainer(tiny_run(tmp_path / "run", tiny_base, seed=9)).finish()
    assert status == FAILED
    assert "another spec" in told[-1]["reason"]


def test_a_base_that_is_not_there(tmp_path: Path) -> None:
    status, told = Trainer(tiny_run(tmp_path / "run", tmp_path / "gone")).finish()
    assert status == FAILED
    assert told[-1]["type"] == "failed"
    assert "gone" in told[-1]["reason"]


def test_it_ends_when_its_parent_is_gone(tmp_path: Path, tiny_base: Path) -> None:
    trainer = Trainer(tiny_run(tmp_path / "run", tiny_base, hyperparameters={"epochs": 100000}))
    list(trainer.until(2))
    assert trainer.process.stdin is not None
    trainer.process.stdin.close()
    assert trainer.process.wait(60) == FAILED


def test_it_goes_on_from_an_earlier_adapter(tmp_path: Path, tiny_base: Path) -> None:
    first = trained(tiny_run(tmp_path / "first", tiny_base))
    second = trained(tiny_run(tmp_path / "second", tiny_base, adapter=first[-1]["result"]["adapter"]))
    start = next(m["loss"] for m in second if m["type"] == "progress")
    assert start < 0.8 * next(m["loss"] for m in first if m["type"] == "progress")
