"""Evaluation jobs as a client makes them: a data set in a bucket, a job, its end, its files."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tests.live import Server

MODEL, OTHER, JUDGE, TEXT_JUDGE = (
    "test.scripted-v1:0", "test.other-v1:0", "test.judge-v1:0", "test.textjudge-v1:0",
)  # fmt: skip
ARN = "arn:aws:bedrock:us-east-1::foundation-model/"
ROLE = "arn:aws:iam::123456789012:role/EvaluationOfAnotherServer"
ENDS = ("Completed", "Failed", "Stopped")
# The first rule that fits answers; without one, what was asked comes back.
SCRIPT = {
    "rules": [
        {"contains": "refuse me", "error": {"kind": "invalid", "message": "I do not like that."}},
        {"contains": "for ever", "first_delay_ms": 600_000},
        {"contains": "slowly", "first_delay_ms": 300, "text": "It took a while."},
        {"matches": "capital of France", "text": "The capital is Paris."},
        {"matches": "(?i)capital of france", "text": "I think it is Lyon."},
        {"contains": "good film", "text": "Positive, I would say."},
        {"contains": "bad film", "text": "NEGATIVE"},
        {"contains": "largest planet", "text": "Jupiter"},
    ]
}
VERDICTS = {
    "rules": [
        {"contains": "judge breaks", "error": {"kind": "invalid", "message": "Out of order."}},
        {"contains": "babble", "text": "I like it."},
        {"matches": "(?s)nobody can tell", "text": '{"reason": "Too little is given.", "answer": "cannot decide"}'},
        {"matches": '(?s)Jupiter.*"correct"', "text": '{"reason": "It is Jupiter.", "answer": "correct"}'},
        {"matches": '(?s)Saturn.*"correct"', "text": '{"reason": "It is not Saturn.", "answer": "incorrect"}'},
        {"matches": '(?s)"correct"', "text": '{"reason": "Half of it.", "answer": "partially correct"}'},
        {"matches": '(?s)"entirely"', "text": '{"reason": "Nearly.", "answer": "mostly"}'},
        {"matches": '(?s)"yes"', "text": '{"reason": "Nothing of the kind.", "answer": "no"}'},
        {"matches": '(?s)"7.5"', "text": '{"reason": "Fine.", "answer": "7.5"}'},
        {"matches": '(?s)"most"', "text": '{"reason": "Nearly all.", "answer": "most"}'},
        {"contains": "Say a number", "text": "42"},
    ]
}
SETTINGS = f"""
house_model = false
[evaluation]
judged_twice = 2
[[models]]
id = "{MODEL}"
engine = "scripted"
script = "FOLDER/script.json"
concurrency = 4
[[models]]
id = "{OTHER}"
engine = "scripted"
script = "FOLDER/other.json"
[[models]]
id = "{JUDGE}"
engine = "scripted"
script = "FOLDER/judge.json"
[[models]]
id = "{TEXT_JUDGE}"
engine = "scripted"
script = "FOLDER/textjudge.json"
[[models]]
id = "test.vectors-v1:0"
engine = "scripted"
script = "FOLDER/script.json"
"""

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Evaluations:
    """`s3` and `bedrock` are unmodified boto3 clients; `bucket` is theirs."""

    server: Server
    s3: Any
    bedrock: Any
    bucket: str

    def put(self, lines: Iterable[Any]) -> str:
        """Values become JSON, texts stay; the URI."""
        key = f"in-{os.getpid()}-{next(_numbers)}.jsonl"
        body = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body.encode())
        return f"s3://{self.bucket}/{key}"

    def automated(self, lines: Iterable[Any], task: str, *metrics: str, **more: Any) -> str:
        """The ARN of a new job about lines; `more` of the request replaces what is there."""
        return self.create(automated(dataset(task, self.put(lines), *metrics)), **more)

    def create(self, config: Mapping[str, Any], **more: Any) -> str:
        return str(self.bedrock.create_evaluation_job(**{**self.request(config), **more})["jobArn"])

    def request(self, config: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "jobName": name(),
            "roleArn": ROLE,
            "evaluationConfig": dict(config),
            "inferenceConfig": {"models": [model()]},
            "outputDataConfig": {"s3Uri": f"s3://{self.bucket}/out/"},
        }

    def get(self, arn: str) -> dict[str, Any]:
        return dict(self.bedrock.get_evaluation_job(jobIdentifier=arn))

    def until(self, arn: str, *statuses: str, seconds: float = 30) -> dict[str, Any]:
        """The job once it has one of the statuses; the end where none is given."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            job = self.get(arn)
            if job["status"] in (statuses or ENDS):
                return job
            time.sleep(0.05)
        raise AssertionError(f"{job}\n{self.server.log[-3000:]}")

    def done(self, arn: str) -> dict[str, Any]:
        job = self.until(arn)
        assert job["status"] == "Completed", job
        return job

    def files(self, arn: str) -> dict[str, bytes]:
        """Everything that the job wrote, by the path below its own folder."""
        prefix = f"out/{self.get(arn)['jobName']}/"
        found = {}
        for entry in self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", []):
            path = entry["Key"].removeprefix(prefix).partition("/")[2]
            found[path] = self.s3.get_object(Bucket=self.bucket, Key=entry["Key"])["Body"].read()
        return found

    def folder(self, arn: str) -> str:
        """The key of the job's own folder."""
        prefix = f"out/{self.get(arn)['jobName']}/"
        (entry, *_) = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix)["Contents"]
        return prefix + str(entry["Key"]).removeprefix(prefix).partition("/")[0]

    def lines(self, arn: str) -> list[dict[str, Any]]:
        """Of the one file of output that AWS's readers look for."""
        (path,) = [path for path in self.files(arn) if path.endswith("_output.jsonl")]
        return [json.loads(line) for line in self.files(arn)[path].splitlines()]

    def summary(self, arn: str) -> dict[str, Any]:
        return dict(json.loads(self.files(arn)["outcrop/summary.json"]))

    def figures(self, arn: str) -> dict[str, Any]:
        """The metrics of the one data set."""
        (found,) = self.summary(arn)["datasets"]
        return dict(found["metrics"])


def name() -> str:
    return f"job-{os.getpid()}-{next(_numbers)}"


def dataset(task: str, uri: str, *metrics: str, named: str = "mine") -> dict[str, Any]:
    return {
        "taskType": task,
        "dataset": {"name": named, "datasetLocation": {"s3Uri": uri}},
        "metricNames": list(metrics),
    }


def automated(*datasets: Mapping[str, Any], judge: str | None = None, **more: Any) -> dict[str, Any]:
    config: dict[str, Any] = {"datasetMetricConfigs": list(datasets), **more}
    if judge is not None:
        config["evaluatorModelConfig"] = {"bedrockEvaluatorModels": [{"modelIdentifier": judge}]}
    return {"automated": config}


def model(identifier: str = MODEL, **more: Any) -> dict[str, Any]:
    return {"bedrockModel": {"modelIdentifier": identifier, **more}}


def scores(line: Mapping[str, Any]) -> dict[str, Any]:
    return {one["metricName"]: one["result"] for one in line["automatedEvaluationResult"]["scores"]}


def connect(server: Server, bucket: str = "evaluations", key: Any = None) -> Evaluations:
    """With the bucket made, if it is not there."""
    environment = server.environment
    session = boto3.Session(
        key.id if key else environment["AWS_ACCESS_KEY_ID"],
        key.secret if key else environment["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )
    # What a client would refuse by itself is sent.
    config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
    s3, bedrock = (session.client(one, endpoint_url=server.url, config=config) for one in ("s3", "bedrock"))
    if key is None and bucket not in [found["Name"] for found in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=bucket)
    return Evaluations(server, s3, bedrock, bucket)


def settings(folder: Path, more: str = "") -> str:
    """Of a server with the scripted models; `more` stands among those of [evaluation]."""
    scripts = {
        "script": SCRIPT,
        "other": {"rules": [{"matches": ".", "text": "Something else."}]},
        "judge": VERDICTS,
        "textjudge": {**VERDICTS, "json_schema": False},
    }
    for file, script in scripts.items():
        (folder / f"{file}.json").write_text(json.dumps(script))
    return SETTINGS.replace("FOLDER", str(folder)).replace("[evaluation]\n", f"[evaluation]\n{more}")
