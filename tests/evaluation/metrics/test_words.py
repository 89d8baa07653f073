"""Words in common against SQuAD's published definition, and word error rates."""

from __future__ import annotations

import collections
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outcrop.evaluation.metrics import words


def squad_f1(prediction: str, truth: str) -> float:
    """As the page of SQuAD 2.0 says it: tokens after lower case, without punctuation and articles; F1 of the bags."""

    def tokens(text: str) -> list[str]:
        text = "".join(c for c in text.lower() if c not in set(string.punctuation))
        return re.sub(r"\b(a|an|the)\b", " ", text).split()

    said, wanted = tokens(prediction), tokens(truth)
    if not said or not wanted:
        return float(said == wanted)
    same = sum((collections.Counter(said) & collections.Counter(wanted)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(said), same / len(wanted)
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize(
    ("answer", "references", "expected"),
    [
        ("the cat sat", ["A cat sat!"], 1.0),
        ("The capital is Paris.", ["Paris"], 0.5),
        ("Paris", ["Lyon", "Paris, France"], pytest.approx(2 / 3)),
        ("London", ["Paris"], 0.0),
        ("", ["Paris"], 0.0),
        ("the", [""], 1.0),
        ("a b b c", ["b b b"], pytest.approx(2 / 3)),
    ],
)
def test_f1(answer: str, references: list[str], expected: float) -> None:
    assert words.f1(answer, references) == expected


@given(st.text(alphabet="ab the.,!A\n", max_size=30), st.text(alphabet="ab the.,!A\n", max_size=30))
def test_f1_is_squads(answer: str, reference: str) -> None:
    assert words.f1(answer, [reference]) == pytest.approx(squad_f1(answer, reference))


def test_exact_and_held() -> None:
    assert words.exact("the  PARIS.", ["Lyon", "Paris"]) == 1.0
    assert words.exact("Paris, France", ["Paris"]) == 0.0
    assert words.holds("I say it is Paris, France.", ["Lyon", "paris"]) == 1.0
    assert words.holds("Comparison", ["Paris"]) == 0.0
    assert words.holds("anything", [""]) == 0.0
    assert words.alternatives("Paris <OR>  Lutetia<OR>") == ("Paris", "Lutetia")


@pytest.mark.parametrize(
    ("answer", "reference", "expected"),
    [
        ("the cat sat", "the cat sat", 0.0),
        ("the cat", "the cat sat", pytest.approx(1 / 3)),
        ("a cat sat down", "the cat sat", pytest.approx(2 / 3)),
        ("x y z w", "a b", 2.0),
        ("", "", 0.0),
        ("word", "", 1.0),
        ("", "two words", 1.0),
    ],
)
def test_word_error_rate(answer: str, reference: str, expected: float) -> None:
    assert words.error_rate(answer, reference) == expected


@given(st.lists(st.sampled_from("abc"), max_size=80), st.lists(st.sampled_from("abc"), min_size=1, max_size=80))
def test_the_distance_is_levenshteins(said: list[str], wanted: list[str]) -> None:
    """As the recurrence says it, cell by cell."""
    row = list(range(len(wanted) + 1))
    for at, word in enumerate(said, 1):
        before, row[0] = row[0], at
        for place, other in enumerate(wanted, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (word != other))
    assert words.error_rate(" ".join(said), " ".join(wanted)) == row[-1] / len(wanted)


def test_the_label_that_an_answer_means() -> None:
    labels = ["Positive", "Negative", "Very Negative"]
    assert words.label_in("negative", labels) == "Negative"
    assert words.label_in("This is very negative.", labels) == "Very Negative"
    assert words.label_in("Not negative but positive", labels) == "Negative"
    assert words.label_in("electropositive", labels) is None
    assert words.label_in("", labels) is None
