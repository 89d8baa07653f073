"""Preferred answers become the likelier ones, also of prompts that were not trained on; a killed run's curve is the same."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("gguf")

import torch
from torch import Tensor, nn

from outcrop.training.batches import IGNORED, Batch
from outcrop.training.customizing import preference, records
from outcrop.training.customizing.records import Refused
from outcrop.training.customizing.spec import INVALID
from tests.training.customizing.conftest import HOUSE, Trainer, losses, spec_file, trained, write_lines

THINGS = [
    "apples",
    "pears",
    "rain",
    "snow",
    "tea",
    "coffee",
    "music",
    "maths",
    "dogs",
    "cats",
    "bread",
    "rice",
    "soup",
    "trees",
    "rivers",
    "books",
]


def pair(thing: str) -> dict[str, str]:
    """The base model finds the plainer one likelier."""
    return {
        "prompt": f"How do you like {thing}?",
        "chosen": f"I love {thing}!",
        "rejected": f"{thing} is fine.",
    }


def spec_of(folder: Path, **parts: Any) -> Path:
    folder.mkdir(exist_ok=True)
    write_lines(folder / "train.jsonl", [pair(thing) for thing in THINGS[:10]])
    write_lines(folder / "held-out.jsonl", [pair(thing) for thing in THINGS[10:]])
    return spec_file(
        folder / "spec.json",
        base=HOUSE,
        kind="preference",
        training=[folder / "train.jsonl"],
        validation=[folder / "held-out.jsonl"],
        hyperparameters={"epochs": 4, "batch_size": 4, "learning_rate": 2e-3},
        checkpoint_seconds=0.0,
        **parts,
    )


def test_preference_accuracy_rises_and_a_kill_leaves_no_trace(tmp_path: Path) -> None:
    measures = trained(spec_of(tmp_path / "one"))[-1]["result"]["measures"]
    assert measures["held_out_preference_accuracy_before"] <= 0.2
    assert measures["held_out_preference_accuracy"] >= 0.8
    again = spec_of(tmp_path / "two")
    Trainer(again).kill_at(4)
    told = trained(again)
    assert next(message["step"] for message in told if message["type"] == "progress") >= 4
    assert told[-1]["result"]["measures"] == measures
    curve, other = (losses(tmp_path / name / "out" / "step_wise_training_metrics.csv") for name in ("one", "two"))
    assert [row[:2] for row in other] == [row[:2] for row in curve]
    assert max(abs(a[2] - b[2]) for a, b in zip(curve, other, strict=True)) < 1e-6
    # Before the first step neither answer is favoured.
    assert math.isclose(curve[0][2], math.log(2), abs_tol=1e-5)


class Fixed(nn.Module):
    """Logits that are given: (B, T, V)."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, ids: Tensor, wanted: Tensor | None = None) -> Tensor:
        return self.logits if wanted is None else self.logits[wanted]


def test_the_loss_is_the_paper_s() -> None:
    torch.manual_seed(3)
    logits, inputs = torch.randn(4, 3, 7), torch.zeros(4, 3, dtype=torch.long)
    targets = torch.tensor([[IGNORED, 2, 5], [1, IGNORED, IGNORED], [IGNORED, 6, IGNORED], [0, 3, IGNORED]])
    reference = torch.tensor([-3.0, -1.0, -2.5, -4.0])
    batch = Batch(inputs, targets, 12, extras={"reference": reference})
    loss, count = preference.dpo(0.3)(Fixed(logits), batch)
    odds = logits.log_softmax(-1)
    likely = [odds[0, 1, 2] + odds[0, 2, 5], odds[1, 0, 1], odds[2, 1, 6], odds[3, 0, 0] + odds[3, 1, 3]]
    gained = [float(one) - float(before) for one, before in zip(likely, reference, strict=True)]
    expected = sum(math.log1p(math.exp(-0.3 * (gained[i] - gained[i + 2]))) for i in range(2))
    assert int(count) == 2
    assert math.isclose(loss.item(), expected, rel_tol=1e-5)
    blank, nothing = preference.dpo(0.3)(Fixed(logits), batch.blank())
    assert (blank.item(), nothing.item()) == (0.0, 0)


def conversation(*candidates: tuple[str, str], role: str = "assistant") -> dict[str, Any]:
    last = {
        "role": role,
        "candidates": [{"content": [{"text": t}], "preferenceLabel": label} for t, label in candidates],
    }
    return {
        "schemaVersion": "bedrock-conversation-2024",
        "system": [{"text": "Be kind."}],
        "messages": [{"role": "user", "content": [{"text": "Hello"}]}, last],
    }


def test_candidates_of_a_conversation() -> None:
    found = records.preference(conversation(("Go away.", "non-preferred"), ("Welcome!", "preferred")))
    assert [message["content"] for message in found.messages] == ["Be kind.", "Hello"]
    assert (found.preferred["content"], found.other["content"]) == ("Welcome!", "Go away.")


BAD: dict[str, Any] = {
    "one candidate": conversation(("a", "preferred")),
    "two that are preferred": conversation(("a", "preferred"), ("b", "preferred")),
    "another label": conversation(("a", "preferred"), ("b", "worse")),
    "the user's candidates": conversation(("a", "preferred"), ("b", "non-preferred"), role="user"),
    "no candidates": conversation() | {"messages": [{"role": "user", "content": [{"text": "Hello"}]}]},
    "no rejected": {"prompt": "a", "chosen": "b"},
    "the same answer twice": {"prompt": "a", "chosen": "b", "rejected": "b"},
}


@pytest.mark.parametrize("case", BAD)
def test_bad_records(case: str) -> None:
    with pytest.raises(Refused, match=r".+"):
        records.preference(BAD[case])


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    spec = spec_of(tmp_path / "bad")
    write_lines(tmp_path / "bad" / "train.jsonl", [pair("tea"), BAD["no rejected"], BAD["one candidate"]])
    status, told = Trainer(spec).finish()
    assert status == INVALID
    assert [problem.split(":")[0] for problem in told[-1]["problems"]] == ["train.jsonl line 2", "train.jsonl line 3"]
