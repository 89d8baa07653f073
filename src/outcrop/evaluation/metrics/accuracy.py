"""Builtin.Accuracy: what it means for each task type."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from outcrop.evaluation.metrics import words

QA, CLASSIFICATION, GENERATION, SUMMARIZATION, CUSTOM = (
    "QuestionAndAnswer", "Classification", "Generation", "Summarization", "Custom",
)  # fmt: skip

# Of an answer, given the references that it may match and all labels of the data set.
Score = Callable[[str, Sequence[str], Sequence[str]], float]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """`title` says what is computed. `score` is None where it takes an embedding model."""

    title: str
    score: Score | None


def _labelled(answer: str, references: Sequence[str], labels: Sequence[str]) -> float:
    found = words.label_in(answer, labels)
    return float(found is not None and words.exact(found, references) == 1)


ACCURACY: Mapping[str, Accuracy] = {
    QA: Accuracy("F1 over words", lambda answer, references, _: words.f1(answer, references)),
    CLASSIFICATION: Accuracy("label accuracy", _labelled),
    GENERATION: Accuracy("real-world knowledge", lambda answer, references, _: words.holds(answer, references)),
    SUMMARIZATION: Accuracy("BERTScore-like match of sentences", None),
    CUSTOM: Accuracy("exact match", lambda answer, references, _: words.exact(answer, references)),
}
