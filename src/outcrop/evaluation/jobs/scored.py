"""What became of a record: its answer, and its scores."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from outcrop.evaluation.jobs.records import Record


@dataclass(frozen=True, slots=True)
class Score:
    """`result` is None where there is none, and `absent` says why. `judge` is the ARN of the model that decided.

    `also` are figures beside it: the score that was perturbed and those it became, the answer in the judge's words.
    """

    metric: str
    result: float | str | None
    absent: str | None = None
    judge: str | None = None
    reason: str | None = None
    also: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Scored:
    """`failure`: the model gave no answer, and so there are no scores."""

    record: Record
    answer: str | None
    failure: str | None = None
    scores: list[Score] = field(default_factory=list)
    input_tokens: int = 0
    output_tokens: int = 0
