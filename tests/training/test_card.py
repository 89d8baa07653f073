"""The model card: a model beside its predecessor, asked through the engine, with figures that belong to each."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("tokenizers")
pytest.importorskip("gguf")

import msgspec
import torch
from tokenizers import Tokenizer

from outcrop.training import card, comparison, export, measuring
from outcrop.training.generators import FAMILIES
from outcrop.training.measuring import Measured
from outcrop.training.model import Decoder
from outcrop.training.pretraining import config_of
from outcrop.training.progress import Progress
from outcrop.training.recipe import RecipeError, load, model_file

HOUSE = "house-nano-v1"


def test_a_card_sets_a_model_beside_its_predecessor(
    tmp_path: Path, recipe_file: Path, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "TIMED", 2)
    monkeypatch.setattr(measuring, "LONGEST_ANSWER", 40)
    torch.manual_seed(1)
    recipe = msgspec.structs.replace(load(recipe_file), held_out=3, compared_with=[HOUSE], start=HOUSE)
    export.write(Decoder(config_of(recipe)), tokenizer, tmp_path / "tiny", recipe)
    scores = card.write(tmp_path / "tiny", recipe, Progress(step=3, tokens=4567, seconds=61.0), 1234)

    # Weights by chance know nothing, and the shipped model nearly everything.
    assert list(scores) == list(FAMILIES)
    assert set(scores.values()) == {(0, 3)}
    found = json.loads((tmp_path / "tiny" / "comparison.json").read_text())
    assert list(found) == ["tiny", HOUSE]
    assert sum(family["right"] for family in found[HOUSE]["families"].values()) > 30
    assert found[HOUSE]["families"]["code"] == {"right": 3, "asked": 3}
    assert found[HOUSE]["file_bytes"] == model_file(HOUSE).stat().st_size
    assert found[HOUSE]["tokens_per_second"] > 0
    evaluated = json.loads((tmp_path / "tiny" / "evaluation.json").read_text())
    assert evaluated == found["tiny"]["families"]

    text = (tmp_path / "tiny" / "MODEL_CARD.md").read_text()
    assert f"|  | tiny | {HOUSE} |" in text
    assert "| code | 0% (0%-56%) | 100% (44%-100%) |" in text
    assert f"4,567 tokens in 3 steps, 1 minutes, on from {HOUSE} |" in text
    assert "On the same 42 examples tiny has -" in text
    assert "no item of a benchmark" in text


def test_a_card_without_predecessors_has_no_such_section(recipe_file: Path) -> None:
    text = card.card(load(recipe_file), Progress(), 1, [measured("tiny", code=9)])
    assert "Tiers and generations" not in text
    assert "| code | 9 | 10 | 90% | 60%-98% |" in text


def measured(name: str, **right: int) -> Measured:
    return Measured(name, 1_500_000, {family: [n < count for n in range(10)] for family, count in right.items()}, 123.4)


def test_a_difference_is_told_where_it_is_shown() -> None:
    ours, theirs = measured("two", code=9, lists=10, chat=1), measured("one", code=8, lists=1, chat=9)
    said = comparison.verdict(ours, theirs)
    assert said.startswith("On the same 30 examples two has +6.7 points against one (95 % interval ")
    assert "By family: better in lists; worse in chat (p < 0.05" in said
    assert "worse in lists" in comparison.verdict(theirs, ours)
    assert "By family: no difference is shown" in comparison.verdict(ours, measured("same", code=9, lists=10, chat=1))


def test_the_table_has_all_families_and_speeds() -> None:
    lines = comparison.table([measured("two", code=9, chat=1), measured("one", code=8, chat=2)]).splitlines()
    assert lines[0] == "|  | two | one |"
    assert lines[2:5] == [
        "| file | 1.5 MB | 1.5 MB |",
        "| tokens a second | 123 | 123 |",
        "| **all families** | 50% (30%-70%) | 50% (30%-70%) |",
    ]
    assert lines[6] == "| chat (closed) | 10% (2%-40%) | 20% (6%-51%) |"
    assert "| – |" in comparison.table([Measured("short", 1, {"code": [True]}, None)])


def test_too_short_an_answer_is_not_timed() -> None:
    assert measuring._Answer({}, 20, 0.1).speed == pytest.approx(200)
    assert measuring._Answer({}, 3, 0.1).speed is None


@pytest.mark.parametrize(
    ("named", "problem"),
    [
        ('["house-nano-v0"]', "compared_with names house-nano-v0, which is neither a shipped model nor a file"),
        ('["house-nano-v1", "house-nano-v1"]', "two models of one name"),
    ],
)
def test_predecessors_that_cannot_be_compared_are_told_before_training(
    recipe_file: Path, named: str, problem: str
) -> None:
    recipe_file.write_text(f"compared_with = {named}\n{recipe_file.read_text()}")
    with pytest.raises(RecipeError, match=problem):
        load(recipe_file)


def test_the_command_prints_the_table() -> None:
    arguments = [sys.executable, "-m", "outcrop.training.comparison"]
    said = subprocess.run([*arguments, HOUSE, "--count", "1"], capture_output=True, text=True, check=True).stdout
    assert f"|  | {HOUSE} |" in said
    assert "| code | 100% (21%-100%) |" in said
    wrong = subprocess.run([*arguments, "nothing.gguf"], capture_output=True, text=True)
    assert wrong.returncode == 1
    assert "nothing.gguf is neither a shipped model nor a file" in wrong.stderr
