"""The files of a human evaluation job, in Bedrock's form."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from statistics import fmean
from typing import Any

import orjson

from outcrop.batch.submitted import Submitted
from outcrop.evaluation.jobs.human.rows import CHOICE, COMPARISON, LIKERT, RANK, THUMBS, Loop, Row, Worksheet
from outcrop.evaluation.jobs.output import Output, uuid_of

_MEMBERS: Mapping[str, str] = {
    THUMBS: "thumbsUpDown", LIKERT: "individualLikertScale", COMPARISON: "comparisonLikertScale",
    CHOICE: "comparisonChoice", RANK: "comparisonRank",
}  # fmt: skip
NOBODY = "worksheet"

Rated = Sequence[tuple[str, str]]


def write(output: Output, job: Submitted, sheet: Worksheet, rated: Rated, at: datetime) -> None:
    """Blocks."""
    by_loop: dict[int, list[tuple[Row, str, str]]] = defaultdict(list)
    for row, (answer, worker) in zip(sheet.rows, rated, strict=True):
        by_loop[row.loop].append((row, answer, worker))
    lines: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for number, loop in enumerate(sheet.loops):
        lines[loop.dataset].append(_line(job, sheet, number, loop, by_loop[number], at))
    for dataset, some in lines.items():
        path = f"datasets/{dataset}/{uuid_of(job.id, dataset)}_output.jsonl"
        output.write(path, b"".join(orjson.dumps(line) + b"\n" for line in some), "application/jsonl")


def _line(
    job: Submitted, sheet: Worksheet, number: int, loop: Loop, rated: Sequence[tuple[Row, str, str]], at: datetime
) -> dict[str, Any]:
    workflow = job.request["evaluationConfig"]["human"]["humanWorkflowConfig"]
    moment = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    workers = list(dict.fromkeys(worker or NOBODY for _, _, worker in rated))
    answers = [
        {
            "acceptanceTime": moment,
            "answerContent": {"evaluationResults": _results([one for one in rated if (one[2] or NOBODY) == worker])},
            "submissionTime": moment,
            "workerId": worker,
        }
        for worker in workers
    ]
    metrics = [{"metricName": name, "description": about} for name, about in sheet.descriptions.items()]
    result = {
        "flowDefinitionArn": workflow["flowDefinitionArn"],
        "humanAnswers": answers,
        "humanLoopName": uuid_of(job.id, "loop", str(number)),
        "inputContent": {"evaluationMetrics": metrics, "instructions": sheet.instructions},
        "modelResponseIdMap": {str(place): model for place, (model, _) in enumerate(loop.responses)},
    }
    return {
        "humanEvaluationResult": [result],
        "inputRecord": loop.given,
        "modelResponses": [{"modelIdentifier": model, "response": text} for model, text in loop.responses],
    }


def _results(rated: Sequence[tuple[Row, str, str]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row, answer, _ in rated:
        found[_MEMBERS[row.method]].append(_result(row, answer))
    return dict(found)


def _result(row: Row, answer: str) -> dict[str, Any]:
    name = {"metricName": row.metric}
    match row.method:
        case "ThumbsUpDown":
            return {**name, "modelResponseId": str(row.shown[0]), "result": answer == "up"}
        case "IndividualLikertScale":
            return {**name, "modelResponseId": str(row.shown[0]), "result": int(answer)}
        case "ComparisonLikertScale":
            left, right = map(str, row.shown)
            return {**name, "leftModelResponseId": left, "rightModelResponseId": right, "result": int(answer)}
        case "ComparisonChoice":
            return {**name, "result": {"modelResponseId": str(int(answer) - 1)}}
    ranks = {"1,2": (1, 2), "2,1": (2, 1), "1=2": (1, 1)}[answer]
    return {
        **name,
        "result": [{"modelResponseId": str(at), "rank": rank} for at, rank in zip(row.shown, ranks, strict=True)],
    }


def figures(sheet: Worksheet, rated: Rated) -> dict[str, Any]:
    """By metric and model: the mean of thumbs and scales, the share of records for which a model was preferred."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row, (answer, _) in zip(sheet.rows, rated, strict=True):
        responses = sheet.loops[row.loop].responses
        for at, value in zip(row.shown, _values(row.method, answer), strict=True):
            values[row.metric][responses[at][0]].append(value)
    return {
        metric: {model: {"mean": fmean(found), "n": len(found)} for model, found in models.items()}
        for metric, models in values.items()
    }


def _values(method: str, answer: str) -> tuple[float, ...]:
    """For each response that the row shows; of two, 1 to the preferred one and a half to each in a draw."""
    match method:
        case "ThumbsUpDown":
            return (float(answer == "up"),)
        case "IndividualLikertScale":
            return (float(answer),)
        case "ComparisonLikertScale":
            right = (int(answer) - 1) / 4
            return (1 - right, right)
        case "ComparisonChoice":
            return (float(answer == "1"), float(answer == "2"))
    return {"1,2": (1.0, 0.0), "2,1": (0.0, 1.0), "1=2": (0.5, 0.5)}[answer]
