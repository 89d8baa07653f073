"""How much worse answers become when prompts do. Lower is better."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from outcrop.evaluation.metrics.words import error_rate


def error_rate_of(answer: str, perturbed: Sequence[str]) -> float | None:
    """Per cent: the mean word error rate of answers to perturbed prompts, against that to the prompt itself."""
    return 100 * fmean(error_rate(one, answer) for one in perturbed) if perturbed else None


def change(score: float, perturbed: Sequence[float]) -> float | None:
    """Per cent: the mean of |score - perturbed score|, in parts of the score. None of a score of 0, which has no parts,
    unless it stayed 0; None where nothing was perturbed.
    """
    if not perturbed:
        return None
    moved = fmean(abs(score - one) for one in perturbed)
    if score == 0:
        return None if moved else 0.0
    return 100 * moved / score


def change_of_all(scores: Sequence[float], perturbed: Sequence[Sequence[float]]) -> float | None:
    """The same of a whole data set, as Bedrock defines it: the mean change in parts of the mean score.

    It counts the records whose score was 0 too.
    """
    pairs = [(score, others) for score, others in zip(scores, perturbed, strict=True) if others]
    if not pairs:
        return None
    moved = fmean(fmean(abs(score - one) for one in others) for score, others in pairs)
    whole = fmean(score for score, _ in pairs)
    if whole == 0:
        return None if moved else 0.0
    return 100 * moved / whole
