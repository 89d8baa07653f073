"""Answers that are rewarded become likelier, also to prompts that were not trained on; a killed run samples the same again."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("gguf")

import torch
from torch import Tensor, nn

from outcrop.training.batches import IGNORED, Batch
from outcrop.training.customizing import base as bases
from outcrop.training.customizing import grading, plans, records, reinforcement
from outcrop.training.customizing.grading import Sample
from outcrop.training.customizing.records import Refused
from outcrop.training.customizing.spec import FAILED, INVALID, Grader
from outcrop.training.lora import add_adapters
from outcrop.training.sampling import sample
from tests.training.customizing.conftest import HOUSE, Trainer, spec_file, trained, write_lines

WORDS = [
    "nice",
    "new",
    "old",
    "red",
    "blue",
    "small",
    "large",
    "warm",
    "cold",
    "late",
    "early",
    "good",
    "fine",
    "dark",
    "light",
    "wet",
]
# One of the answers that the base model gives now and then.
WANTED = "I am house-nano, a small model that Outcrop trained from generated data."


def record(word: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": f"Is it {word}?"}], "reference_answer": WANTED}


def spec_of(folder: Path, grader: str = "exact-match", **parts: Any) -> Path:
    folder.mkdir(exist_ok=True)
    write_lines(folder / "train.jsonl", [record(word) for word in WORDS[:12]])
    write_lines(folder / "held-out.jsonl", [record(word) for word in WORDS[12:]])
    return spec_file(
        folder / "spec.json",
        base=HOUSE,
        kind="reinforcement",
        training=[folder / "train.jsonl"],
        validation=[folder / "held-out.jsonl"],
        hyperparameters={"epochs": 2, "batch_size": 4, "learning_rate": 2e-3},
        reinforcement={"samples": 12, "max_tokens": 20, "grader": grader},
        checkpoint_seconds=0.0,
        **parts,
    )


def rewards(folder: Path) -> list[list[str]]:
    with (folder / "out" / "reward_metrics.csv").open(newline="") as file:
        return list(csv.reader(file))


def test_the_reward_rises_and_a_kill_leaves_no_trace(tmp_path: Path) -> None:
    measures = trained(spec_of(tmp_path / "one"))[-1]["result"]["measures"]
    assert measures["reward_of_the_first_steps"] < 0.6
    assert measures["reward_of_the_last_steps"] > measures["reward_of_the_first_steps"] + 0.2
    assert measures["held_out_reward"] >= max(0.9, measures["held_out_reward_before"])
    again = spec_of(tmp_path / "two")
    Trainer(again).kill_at(3)
    assert trained(again)[-1]["result"]["measures"] == measures
    assert rewards(tmp_path / "two") == rewards(tmp_path / "one")
    assert len(rewards(tmp_path / "one")) == 1 + 6


def test_whoever_started_it_may_grade(tmp_path: Path) -> None:
    spec = spec_of(tmp_path / "asked", grader="parent")
    process = subprocess.Popen(
        [sys.executable, "-m", "outcrop.training.customizing", str(spec)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    graded = 0
    for line in process.stdout:
        message = json.loads(line)
        if message["type"] == "grade":
            found = [float("house" in one["answer"]) for one in message["samples"]]
            assert message["samples"][0]["record"]["reference_answer"] == WANTED
            process.stdin.write(json.dumps({"id": message["id"], "rewards": found}) + "\n")
            process.stdin.flush()
            graded += len(found)
            if graded > 48:
                break
    assert graded > 48
    process.kill()
    process.wait()


def test_nobody_started_it_who_could_grade(tmp_path: Path) -> None:
    spec = spec_of(tmp_path / "alone", grader="parent")
    command = [sys.executable, "-m", "outcrop.training.customizing", str(spec)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == FAILED
    assert "asks the program that started the training" in done.stdout


@pytest.mark.parametrize(
    ("name", "reference", "answer", "reward"),
    [
        ("exact-match", "42", " 42. ", 1.0),
        ("exact-match", 42, "42", 1.0),
        ("exact-match", ["Yes", "Certainly"], "certainly", 1.0),
        ("exact-match", "42", "It is 42", 0.0),
        ("json-schema", {"type": "object", "required": ["a"]}, '```json\n{"a": 1}\n```', 1.0),
        ("json-schema", {"type": "object", "required": ["a"]}, '{"b": 1}', 0.0),
        ("json-schema", {"type": "object"}, "{", 0.0),
        ("unit-tests", "assert double(4) == 8", "def double(x):\n    return 2 * x", 1.0),
        ("unit-tests", "assert double(4) == 8", "Here:\n```python\ndef double(x):\n    return x * 2\n```", 1.0),
        ("unit-tests", "assert double(4) == 8", "def double(x):\n    return x", 0.0),
        ("unit-tests", "assert double(4) == 8", "import os; os._exit(0)", 0.0),
    ],
)
def test_graders(name: Grader, reference: Any, answer: str, reward: float) -> None:
    found = {"reference_answer": reference}
    grading.check(name, found)
    assert grading.grader(name, None)([Sample(found, answer)]) == [reward]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("exact-match", {}),
        ("exact-match", {"reference_answer": {}}),
        ("json-schema", {"reference_answer": "no"}),
        ("json-schema", {"reference_answer": {"type": "nothing"}}),
        ("unit-tests", {"reference_answer": 3}),
    ],
)
def test_records_without_what_their_grader_needs(name: Grader, found: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="reference_answer"):
        grading.check(name, found)


BAD: dict[str, Any] = {
    "no messages": {"reference_answer": "x"},
    "an answer at the end": {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
    "two users": {"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]},
    "a text for a message": {"messages": ["a"]},
}


@pytest.mark.parametrize("case", BAD)
def test_bad_records(case: str) -> None:
    with pytest.raises(Refused, match=r".+"):
        records.reinforcement(BAD[case])


def test_bad_records_are_told_before_anything_is_sampled(tmp_path: Path) -> None:
    spec = spec_of(tmp_path / "bad")
    write_lines(
        tmp_path / "bad" / "train.jsonl", [record("nice"), BAD["two users"], {"messages": record("x")["messages"]}]
    )
    status, told = Trainer(spec).finish()
    assert status == INVALID
    assert len(told[-1]["problems"]) == 2


class Fixed(nn.Module):
    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, ids: Tensor) -> Tensor:
        return self.logits


def test_the_gradient_is_the_policy_s() -> None:
    torch.manual_seed(2)
    logits = torch.randn(2, 3, 5)
    targets = torch.tensor([[1, 2, IGNORED], [IGNORED, 4, 0]])
    advantages, reference = torch.tensor([1.5, -0.5]), torch.randn(2, 3) - 2
    batch = Batch(
        torch.zeros(2, 3, dtype=torch.long), targets, 6, extras={"advantages": advantages, "reference": reference}
    )
    model, plain = Fixed(logits), logits.clone().requires_grad_(True)
    loss, count = reinforcement.grpo(0.2)(model, batch)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
    total = torch.zeros(())
    for row in range(2):
        for column in range(3):
            if targets[row, column] != IGNORED:
                likely = plain[row, column].log_softmax(-1)[targets[row, column]]
                apart = reference[row, column] - likely
                total = total - advantages[row] * likely + 0.2 * (apart.exp() - apart - 1)
    (expected,) = torch.autograd.grad(total, plain)
    assert int(count) == 4
    assert model.logits.grad is not None
    assert torch.allclose(model.logits.grad, expected, atol=1e-6)


def test_sampling_with_a_cache_is_what_the_whole_model_says() -> None:
    base = bases.load(HOUSE)
    model, template = base.model(), base.template()
    assert template is not None
    prompts = [
        base.tokenizer.encode(template.render([{"role": "user", "content": text}], generate=True)).ids
        for text in ("Hello!", "What is 12 + 30?", "Good morning")
    ]
    together = sample(model, prompts, max_tokens=24, ends=base.ends, seed=1, temperature=0.0)
    with torch.no_grad():
        for prompt, answer in zip(prompts, together, strict=True):
            logits = model(torch.tensor([[*prompt, *answer]]))[0, len(prompt) - 1 : -1]
            assert logits.argmax(-1).tolist() == answer
            assert answer[-1] in base.ends
    first, again, other = (
        sample(model, prompts, max_tokens=12, ends=base.ends, seed=seed, temperature=2.0) for seed in (7, 7, 8)
    )
    assert first == again
    assert first != other


def test_the_model_as_it_was_is_there_beside_the_trained_one() -> None:
    base = bases.load(HOUSE)
    model, ids = base.model(), torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        before = model(ids)
        add_adapters(model, 4, 8.0, bf16=False)
        for name, weight in model.named_parameters():
            if name.endswith("lora_b"):
                weight.normal_()
        assert not torch.allclose(model(ids), before)
        with plans.without_adapters(model):
            assert torch.allclose(model(ids), before, atol=1e-5)
        assert not torch.allclose(model(ids), before)
