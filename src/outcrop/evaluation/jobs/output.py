"""The files that a job leaves in S3: Bedrock's, and beside them ours below `outcrop/`."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from outcrop.batch.submitted import Submitted
from outcrop.encryption.keys import arn_of as kms_arn
from outcrop.evaluation.jobs.models import shown
from outcrop.evaluation.jobs.plan import PROGRAMMATIC, DatasetPlan, ModelPlan
from outcrop.evaluation.jobs.scored import Score, Scored
from outcrop.objects.objects import Objects

_NAMESPACE = uuid.UUID("6c0e1e0f-8a3b-5f4e-9d43-1b7a52b0a6c1")


def uuid_of(*names: str) -> str:
    """The same for the same names, so that an attempt that begins again writes over what the one before it wrote."""
    return str(uuid.uuid5(_NAMESPACE, "\n".join(names)))


def folder_of(job: Submitted) -> str:
    given = str(job.request["outputDataConfig"]["s3Uri"]).rstrip("/")
    return f"{given}/{job.request['jobName']}/{uuid_of(job.id)}"


def key_of(job: Submitted) -> str | None:
    """The ARN of the key that its output is encrypted under."""
    name = job.request.get("customerEncryptionKeyId")
    return None if name is None else kms_arn(name, job.account, job.region)


class Output:
    """Everything blocks."""

    def __init__(self, objects: Objects, job: Submitted) -> None:
        self._objects = objects
        self._job = job
        self._key = key_of(job)
        self.folder = folder_of(job)

    def write_scores(self, dataset: DatasetPlan, model: ModelPlan, rows: Iterable[Scored], rag: bool) -> None:
        file = uuid_of(self._job.id, dataset.task, dataset.name, model.name)
        name = model.name.rpartition("/")[2]
        path = f"models/{name}/taskTypes/{dataset.task}/datasets/{dataset.name}/{file}_output.jsonl"
        said_by = shown(model, self._job.account, self._job.region)
        lines = (rag_line(row) if rag else model_line(row, said_by) for row in rows)
        self.write(path, b"".join(orjson.dumps(line) + b"\n" for line in lines), "application/jsonl")

    def write_custom_metrics(self, definitions: Iterable[Mapping[str, Any]]) -> None:
        for definition in definitions:
            self.write_json(f"custom_metrics/{definition['name']}.json", {"customMetricDefinition": definition})

    def write_json(self, path: str, value: Any) -> None:
        self.write(path, orjson.dumps(value, option=orjson.OPT_INDENT_2) + b"\n", "application/json")

    def write(self, path: str, body: bytes, content_type: str) -> None:
        self._objects.put(f"{self.folder}/{path}", body, content_type=content_type, key=self._key)


def model_line(row: Scored, model: str) -> dict[str, Any]:
    answers = [] if row.answer is None else [{"modelIdentifier": model, "response": row.answer}]
    return {
        "automatedEvaluationResult": {"scores": scores_of(row)},
        "inputRecord": row.record.given,
        "modelResponses": answers,
    }


def rag_line(row: Scored) -> dict[str, Any]:
    """Its turn as it came, with the results."""
    turn = row.record.given["conversationTurns"][0]
    given = {name: value for name, value in turn.items() if name != "output"}
    return {
        "conversationTurns": [
            {"inputRecord": given, "output": turn["output"], "results": scores_of(row)},
        ]
    }


def scores_of(row: Scored) -> list[dict[str, Any]]:
    """Those that there are: a score that is absent is counted in outcrop/summary.json."""
    return [_score(score) for score in row.scores if score.result is not None]


def _score(score: Score) -> dict[str, Any]:
    name = score.metric.removeprefix("Builtin.") if score.metric in PROGRAMMATIC else score.metric
    shown: dict[str, Any] = {"metricName": name, "result": score.result}
    if score.judge is not None:
        shown["evaluatorDetails"] = [{"modelIdentifier": score.judge, "explanation": score.reason or ""}]
    return shown
