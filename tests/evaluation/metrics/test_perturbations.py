"""Prompts made worse: what each way does, always the same, and what it leaves alone."""

from __future__ import annotations

import subprocess
import sys

import pytest

from outcrop.evaluation.metrics.perturbations import WAYS, in_words, perturbed
from outcrop.evaluation.metrics.robustness import change, change_of_all, error_rate_of

PROMPT = "What did the 3 Little Pigs build in 1890, and who of the 42 wolves blew it down?"


def of(kind: str, prompt: str = PROMPT, seed: int = 0) -> str:
    return next(one.text for one in perturbed(prompt, seed) if one.kind == kind)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("0", "zero"), ("7", "seven"), ("13", "thirteen"), ("40", "forty"), ("42", "forty-two"), ("100", "one hundred"),
        ("219", "two hundred nineteen"), ("1000", "one thousand"), ("1890", "one thousand eight hundred ninety"),
        ("1000001", "one million one"), ("999999999999", "nine hundred ninety-nine billion nine hundred ninety-nine million "
         "nine hundred ninety-nine thousand nine hundred ninety-nine"), ("007", "zero zero seven"),
        ("1234567890123", "one two three four five six seven eight nine zero one two three"),
    ],
)  # fmt: skip
def test_digits_become_words(number: str, words: str) -> None:
    assert in_words(number) == words


def test_each_way() -> None:
    assert len(perturbed(PROMPT)) == 5
    assert of("lower-case") == PROMPT.lower()
    assert of("digits-to-words") == (
        "What did the three Little Pigs build in one thousand eight hundred ninety, and who of the forty-two wolves blew it down?"
    )
    capitals = of("random-upper-case")
    assert capitals != PROMPT
    assert capitals.lower() == PROMPT.lower()
    spaces = of("whitespace")
    assert spaces != PROMPT
    assert "".join(spaces.split()) == "".join(PROMPT.split())
    typos = of("keyboard-typos")
    assert len(typos) == len(PROMPT)
    wrong = [(a, b) for a, b in zip(PROMPT, typos, strict=True) if a != b]
    assert 1 <= len(wrong) <= len(PROMPT) // 4
    near = {"i": "uojk", "l": "kop", "o": "ipkl", "a": "qwsz"}
    assert all(b.lower() in near[a.lower()] for a, b in wrong if a.lower() in near)
    assert all(a.isupper() == b.isupper() for a, b in wrong)


def test_a_prompt_that_a_way_does_not_change_is_not_asked_again() -> None:
    assert {one.kind for one in perturbed("no digits here at all, and nothing upper")}.isdisjoint(
        {"digits-to-words", "lower-case"}
    )
    assert perturbed("") == []


def test_the_seed_decides_and_nothing_else() -> None:
    assert perturbed(PROMPT, 1) == perturbed(PROMPT, 1)
    assert of("keyboard-typos", seed=1) != of("keyboard-typos", seed=2)
    # Nor a hash that differs from process to process.
    code = f"from outcrop.evaluation.metrics.perturbations import perturbed; print([p.text for p in perturbed({PROMPT!r})])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == str([one.text for one in perturbed(PROMPT)])
    assert set(WAYS) == {one.kind for one in perturbed(PROMPT)}


def test_how_robust() -> None:
    assert error_rate_of("the cat sat", ["the cat sat", "the cat"]) == pytest.approx(100 / 6)
    assert error_rate_of("anything", []) is None
    assert change(0.5, [0.5, 0.25, 1.0]) == pytest.approx(50.0)
    assert change(0.0, [0.0, 0.0]) == 0.0
    assert change(0.0, [0.0, 0.5]) is None
    assert change(1.0, []) is None
    # A record that scored 0 counts in the figure of all.
    assert change_of_all([1.0, 0.0], [[0.5, 1.0], [0.5, 0.0]]) == pytest.approx(50.0)
    assert change_of_all([0.0], [[1.0]]) is None
    assert change_of_all([0.0], [[0.0]]) == 0.0
    assert change_of_all([1.0], [[]]) is None
