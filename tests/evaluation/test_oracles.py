"""Each suite gives 100 % to who knows everything, 0 % to who knows nothing, and to who guesses what guessing gives."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Sequence
from math import comb
from pathlib import Path

import pytest

from outcrop.evaluation.item import Item, Options
from outcrop.evaluation.results import Results, scores
from outcrop.evaluation.suites import SUITES
from outcrop.evaluation.suites.mgsm import PREFIXES
from outcrop.evaluation.suites.numbers import equal
from tests.evaluation.benchmarks import BENCHMARKS, items_of, write_gpqa, write_ifeval, write_mbpp, write_mmlu_pro
from tests.evaluation.oracle import results_of


def means(results: Results) -> set[float]:
    return {score.mean for score in scores(results)}


def all_or_nothing(
    suite: str, items: Sequence[Item], right: Callable[[Item], str], wrong: Callable[[Item], str]
) -> None:
    assert means(results_of(SUITES[suite], items, right)) == {1.0}
    assert means(results_of(SUITES[suite], items, wrong)) == {0.0}


def other_letter(item: Item) -> str:
    return "B" if item.reference == "A" else "A"


def guesses_as_chance_says(suite: str, items: Sequence[Item], form: str, letters: str) -> None:
    """The exact binomial interval of 99.9 %."""
    chance = random.Random(7)
    results = results_of(SUITES[suite], items, lambda item: form.format(chance.choice(letters)))
    p, n = 1 / len(letters), len(items)
    ways = [comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)] if n < 500 else None
    (score,) = scores(results)
    right = round(score.mean * n)
    if ways is not None:
        assert sum(ways[:right]) < 0.9995
        assert sum(ways[right + 1 :]) < 0.9995
    else:
        assert abs(right - n * p) < 3.3 * (n * p * (1 - p)) ** 0.5


def test_gsm8k() -> None:
    items = items_of("gsm8k")
    assert len(items) == 1319
    all_or_nothing(
        "gsm8k",
        items,
        lambda item: f" We add. The answer is {item.reference}.",
        lambda item: f"The answer is {item.reference}1.",
    )


@pytest.mark.parametrize("language", PREFIXES)
def test_mgsm(language: str) -> None:
    items = items_of("mgsm", Options(groups=(language,)))
    assert len(items) == 250
    prefix = PREFIXES[language]
    all_or_nothing(
        "mgsm",
        items,
        lambda item: f"3 + 4 = 7.\n\n{prefix}: {item.reference}",
        lambda item: f"{prefix}: {item.reference}1",
    )


def test_mmlu() -> None:
    items = items_of("mmlu")
    assert len(items) == 14042
    assert len({item.group for item in items}) == 57
    right = {item.prompt.turns[0].text: item.reference for item in items}
    same = [item for item in items if right[item.prompt.turns[0].text] == item.reference]
    # A few questions are there twice, with different answers: nobody can know both.
    assert len(items) - len(same) < 20
    assert means(results_of(SUITES["mmlu"], same, lambda item: f"{item.reference}.")) == {1.0}
    assert means(results_of(SUITES["mmlu"], same[::10], other_letter)) == {0.0}
    guesses_as_chance_says("mmlu", items, " {}", "ABCD")


def test_mmlu_pro(tmp_path: Path) -> None:
    write_mmlu_pro(tmp_path)
    items = SUITES["mmlu-pro"].load(tmp_path, Options())
    assert len(items) == 40
    all_or_nothing(
        "mmlu-pro",
        items,
        lambda item: f"So the answer is ({item.reference}).",
        lambda item: f"the answer is {other_letter(item)}",
    )
    guesses_as_chance_says("mmlu-pro", items, "The answer is ({}).", "ABCDEFGHIJ")


@pytest.mark.parametrize("part", ["diamond", "main", "extended"])
def test_gpqa(tmp_path: Path, part: str) -> None:
    write_gpqa(tmp_path, part)
    items = SUITES[f"gpqa-{part}"].load(tmp_path, Options())
    assert len(items) == 40
    assert {item.reference for item in items} == set("ABCD")
    all_or_nothing(
        f"gpqa-{part}",
        items,
        lambda item: f"Hm.\n\nAnswer: {item.reference}",
        lambda item: f"Answer: {other_letter(item)}",
    )
    guesses_as_chance_says(f"gpqa-{part}", items, "Answer: {}", "ABCD")


def canonical() -> dict[str, str]:
    with gzip.open(BENCHMARKS / "humaneval" / "data" / "HumanEval.jsonl.gz", "rt") as lines:
        return {row["task_id"]: row["canonical_solution"] for row in map(json.loads, lines)}


def test_humaneval_s_own_solutions_pass_and_nothing_else_does() -> None:
    items = items_of("humaneval")
    solutions = canonical()
    # As a model gives it: the whole function, between fences.
    right = results_of(
        SUITES["humaneval"], items, lambda item: f"```python\n{item.reference['prompt']}{solutions[item.id]}```"
    )
    assert [record.item for record in right.records if record.scores["pass"] != 1] == []
    assert len(right.records) == 164
    assert means(right) == {1.0}
    few = items[::20]
    assert means(results_of(SUITES["humaneval"], few, lambda item: solutions[item.id])) == {1.0}
    assert means(results_of(SUITES["humaneval"], few, lambda item: "    return 'nothing of it'\n")) == {0.0}


def test_mbpp(tmp_path: Path) -> None:
    write_mbpp(tmp_path)
    items = SUITES["mbpp"].load(tmp_path, Options())
    assert [item.id for item in items] == ["11", "12", "13", "14"]
    all_or_nothing(
        "mbpp",
        items,
        lambda item: f"def add_{item.id}(x):\r\n    return {item.id} + x\n[DONE]\nand more",
        lambda item: f"```python\ndef add_{item.id}(x):\n    return x\n```",
    )


def test_ifeval(tmp_path: Path) -> None:
    pytest.importorskip("langdetect")
    write_ifeval(tmp_path)
    items = SUITES["ifeval"].load(tmp_path, Options())
    right = {"1": "All of it at once.", "2": "THE RIVER RUNS PAST THE OLD MILL AND THROUGH THE TOWN. THAT IS ALL."}
    wrong = {"1": "One, two", "2": "No."}
    all_or_nothing("ifeval", items, lambda item: right[item.id], lambda item: wrong[item.id])


def test_an_answer_of_nothing_is_wrong_everywhere(tmp_path: Path) -> None:
    write_gpqa(tmp_path)
    write_ifeval(tmp_path)
    for name in ("gpqa-diamond", "ifeval"):
        items = SUITES[name].load(tmp_path, Options())
        assert means(results_of(SUITES[name], items, lambda item: "")) == {0.0}
    assert not equal(None, "0")
