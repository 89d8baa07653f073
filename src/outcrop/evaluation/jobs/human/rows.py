"""The worksheet as rows: each asks one thing about one record. Who wrote which answer is not shown."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from outcrop.evaluation.jobs.plan import Plan
from outcrop.evaluation.jobs.scored import Scored

THUMBS, LIKERT, COMPARISON, CHOICE, RANK = (
    "ThumbsUpDown", "IndividualLikertScale", "ComparisonLikertScale", "ComparisonChoice", "ComparisonRank",
)  # fmt: skip

# What may be answered, as it stands in the worksheet.
ANSWERS: Mapping[str, tuple[str, ...]] = {
    THUMBS: ("up", "down"),
    LIKERT: ("1", "2", "3", "4", "5"),
    COMPARISON: ("1", "2", "3", "4", "5"),
    CHOICE: ("1", "2"),
    RANK: ("1,2", "2,1", "1=2"),
}
HOW: Mapping[str, str] = {
    THUMBS: "up or down",
    LIKERT: "from 1 (worst) to 5 (best)",
    COMPARISON: "from 1 (response 1 is much better) to 5 (response 2 is much better); 3 is a draw",
    CHOICE: "the number of the better response",
    RANK: "the numbers of the responses, the better one first: 1,2 or 2,1; 1=2 is a draw",
}


class Loop(msgspec.Struct, frozen=True):
    """A record with its answers in the order in which they are shown. `responses`: (model, text)."""

    dataset: str
    task: str
    line: int
    given: dict[str, Any]
    prompt: str
    reference: str
    responses: tuple[tuple[str, str], ...]


class Row(msgspec.Struct, frozen=True):
    """One question. `shown` are the places (from 0) of the responses that it is about."""

    loop: int
    metric: str
    method: str
    shown: tuple[int, ...]


class Worksheet(msgspec.Struct, frozen=True):
    """What was exported, so that what comes back can be held against it."""

    job: str
    instructions: str
    loops: tuple[Loop, ...]
    rows: tuple[Row, ...]
    descriptions: dict[str, str]


def worksheet(
    job_id: str, plan: Plan, instructions: str, names: Sequence[str], rows: Sequence[Sequence[Scored]]
) -> Worksheet:
    """`names` are what the models are called in the output. Records that a model did not answer are left out; the summary counts them."""
    loops: list[Loop] = []
    asked: list[Row] = []
    methods = {one["name"]: one["ratingMethod"] for one in plan.rating}
    for dataset, some in zip(plan.datasets, rows, strict=True):
        length = len(some) // len(plan.models)
        for at in range(length):
            answers = [some[at + length * number] for number in range(len(plan.models))]
            if any(row.failure is not None for row in answers):
                continue
            record = answers[0].record
            said = [(name, row.answer or "") for name, row in zip(names, answers, strict=True)]
            if _turned(job_id, dataset.name, record.line):
                said.reverse()
            loop = Loop(
                dataset.name, dataset.task, record.line, dict(record.given), record.prompt,
                record.material.get("reference", ""), tuple(said),
            )  # fmt: skip
            for name in dataset.metrics:
                asked += [Row(len(loops), name, methods[name], shown) for shown in _shown(methods[name], len(said))]
            loops.append(loop)
    descriptions = {one["name"]: str(one.get("description", "")) for one in plan.rating}
    return Worksheet(job_id, instructions, tuple(loops), tuple(asked), descriptions)


def _shown(method: str, responses: int) -> list[tuple[int, ...]]:
    if method in (THUMBS, LIKERT):
        return [(at,) for at in range(responses)]
    return [tuple(range(responses))]


def _turned(*names: object) -> bool:
    """Half of the records show the second model first, so that neither gains by its place."""
    return hashlib.sha256(" ".join(map(str, names)).encode()).digest()[0] % 2 == 1
