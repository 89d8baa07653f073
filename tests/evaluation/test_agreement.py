"""The same answers, judged by reference scorers: see vectors/README.md. What we say otherwise is listed, and why."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from outcrop.evaluation.item import Item, asked
from outcrop.evaluation.suites import SUITES, choices
from tests.evaluation.benchmarks import items_of

VECTORS = Path(__file__).parent / "vectors"


def lines(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (VECTORS / name).read_text("utf-8").split("\n") if line]


@pytest.mark.parametrize(
    ("suite", "ours", "count", "differing"),
    [
        ("gsm8k", {"accuracy": "accuracy", "flexible": "flexible"}, 440, 44),
        ("mgsm", {"accuracy": "accuracy"}, 984, 40),
        ("humaneval", {"pass": "passed"}, 72, 18),
    ],
)
def test_scores(suite: str, ours: dict[str, str], count: int, differing: int) -> None:
    items = {item.id: item for item in items_of(suite)}
    vectors = lines(f"{suite}.jsonl")
    assert len(vectors) == count
    assert sum("differs" in vector for vector in vectors) == differing
    # Both verdicts are there in numbers, so that agreeing means something.
    for theirs in ours.values():
        assert 0.1 < sum(vector[theirs] for vector in vectors) / count < 0.9
    # Programs take their time, each on a core.
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda vector: SUITES[suite].score(items[vector["item"]], vector["answer"]), vectors))
    for vector, scored in zip(vectors, found, strict=True):
        for metric, theirs in ours.items():
            expected = vector[theirs] != (theirs in vector.get("differs", {}))
            assert bool(scored.scores[metric]) == expected, (metric, vector)


@pytest.mark.parametrize(("name", "letter"), [("gpqa", choices.answer_line), ("mmlu_pro", choices.mmlu_pro_letter)])
def test_letters(name: str, letter: Callable[[str], str | None]) -> None:
    vectors = lines(f"{name}.jsonl")
    differing = [vector for vector in vectors if letter(vector["answer"]) != vector["letter"]]
    assert differing == [vector for vector in vectors if "differs" in vector]
    # Where we differ, the reference found nothing.
    assert all(vector["letter"] is None for vector in differing)
    assert len(differing) <= 4


def test_instructions() -> None:
    pytest.importorskip("langdetect")
    instructions = json.loads((VECTORS / "ifeval_instructions.json").read_text())
    assert len({name for name, _ in instructions}) == 25
    followed = 0
    for vector in lines("ifeval.jsonl"):
        wrong = []
        for place, instruction in enumerate(instructions):
            item = Item("1", asked("Tell me.", 10), [instruction], "all", "1")
            scored = SUITES["ifeval"].score(item, vector["answer"]).scores
            verdict = f"{scored['prompt_strict']:.0f}{scored['prompt_loose']:.0f}"
            followed += verdict == "11"
            if verdict != vector["strict"][place] + vector["loose"][place]:
                wrong.append(place)
        # Sentences are counted without Punkt's trained model.
        assert wrong == vector.get("differs", {}).get("sentences", []), vector["answer"]
    assert 800 < followed < 2600
