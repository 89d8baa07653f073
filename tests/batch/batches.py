"""Batch jobs as a client makes them: records in a bucket, a job, its end, its output."""

from __future__ import annotations

import itertools
import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from tests.live import Server

MODEL = "test.scripted-v1:0"
ROLE = "arn:aws:iam::123456789012:role/BatchOfAnotherServer"
SETTINGS = f"""
house_model = false
[batch]
least_records = 1
[[models]]
id = "{MODEL}"
engine = "scripted"
script = "SCRIPT"
concurrency = 4
[[models]]
id = "test.rerank-v1:0"
engine = "scripted"
script = "RERANK"
family = "cohere-rerank"
[[models]]
id = "test.narrow-v1:0"
engine = "scripted"
script = "SCRIPT"
concurrency = 1
queue = 0
[aliases]
"""
# The first rule that fits answers; without one, what was asked comes back.
SCRIPT = {
    "rules": [
        {"contains": "refuse me", "error": {"kind": "invalid", "message": "I do not like that."}},
        {"contains": "overflow", "error": {"kind": "overflow"}},
        {"contains": "slowly", "first_delay_ms": 400},
        {"contains": "for ever", "first_delay_ms": 600_000},
    ]
}
RERANK = {"embeddings": False}
PROVIDERS = ("ai21", "amazon", "anthropic", "cohere", "meta", "mistral", "qwen", "us.deepseek")

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Batches:
    """`s3`, `bedrock` and `runtime` are unmodified boto3 clients; `bucket` is theirs."""

    server: Server
    s3: Any
    bedrock: Any
    runtime: Any
    bucket: str

    def put(self, key: str, lines: Iterable[Any]) -> str:
        """Values become JSON, texts stay; the URI."""
        body = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body.encode())
        return f"s3://{self.bucket}/{key}"

    def folder(self) -> str:
        return f"run-{os.getpid()}-{next(_numbers)}"

    def create(self, source: str, **more: Any) -> str:
        """The ARN of a new job that writes to `out/`."""
        return str(self.bedrock.create_model_invocation_job(**{**self.request(source), **more})["jobArn"])

    def request(self, source: str) -> dict[str, Any]:
        return {
            "jobName": f"job-{next(_numbers)}",
            "roleArn": ROLE,
            "modelId": MODEL,
            "inputDataConfig": {"s3InputDataConfig": {"s3Uri": source}},
            "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": f"s3://{self.bucket}/out/"}},
        }

    def get(self, arn: str) -> dict[str, Any]:
        return dict(self.bedrock.get_model_invocation_job(jobIdentifier=arn))

    def until(self, arn: str, *statuses: str, seconds: float = 30) -> dict[str, Any]:
        """The job once it has one of the statuses; the end where none is given."""
        wanted = statuses or ("Completed", "PartiallyCompleted", "Failed", "Stopped", "Expired")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            job = self.get(arn)
            if job["status"] in wanted:
                return job
            time.sleep(0.05)
        raise AssertionError(f"{job}\n{self.server.log[-3000:]}")

    def keys(self, arn: str) -> list[str]:
        """Names below the job's own folder."""
        prefix = f"out/{id_of(arn)}/"
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return [entry["Key"].removeprefix(prefix) for entry in listed]

    def read(self, arn: str, name: str) -> list[dict[str, Any]]:
        """The lines of one file of output."""
        body = self.s3.get_object(Bucket=self.bucket, Key=f"out/{id_of(arn)}/{name}")["Body"].read()
        return [json.loads(line) for line in body.splitlines()]

    def manifest(self, arn: str) -> dict[str, Any]:
        (found,) = self.read(arn, "manifest.json.out")
        return found


def connect(server: Server, bucket: str = "batches", key: Any = None) -> Batches:
    """With the bucket made, if it is not there."""
    environment = server.environment
    session = boto3.Session(
        key.id if key else environment["AWS_ACCESS_KEY_ID"],
        key.secret if key else environment["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
    )
    # What a client would refuse by itself is sent.
    config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
    s3, bedrock, runtime = (
        session.client(name, endpoint_url=server.url, config=config) for name in ("s3", "bedrock", "bedrock-runtime")
    )
    if key is None and bucket not in [found["Name"] for found in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=bucket)
    return Batches(server, s3, bedrock, runtime, bucket)


def id_of(arn: str) -> str:
    return arn.rpartition("/")[2]


def converse(text: str, **config: Any) -> dict[str, Any]:
    """The body of a Converse."""
    return {
        "messages": [{"role": "user", "content": [{"text": text}]}],
        "inferenceConfig": {"temperature": 0, "maxTokens": 50, **config},
    }


def nova(text: str) -> dict[str, Any]:
    return {"schemaVersion": "messages-v1", "messages": [{"role": "user", "content": [{"text": text}]}]}


def messages(text: str) -> dict[str, Any]:
    """Anthropic's body, which a model of nobody's takes too."""
    return {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 50,
        "temperature": 0,
        "messages": [{"role": "user", "content": text}],
    }


def said(line: Mapping[str, Any]) -> str:
    """The text of an answer to `messages`."""
    return str(line["modelOutput"]["content"][0]["text"])


def settings(folder: Any, *, changes: str = "") -> str:
    """Of a server with the scripted models."""
    for name, script in (("script", SCRIPT), ("rerank", RERANK)):
        (folder / f"{name}.json").write_text(json.dumps(script))
    text = SETTINGS.replace("SCRIPT", str(folder / "script.json")).replace("RERANK", str(folder / "rerank.json"))
    return text + "".join(f'"{name}.*" = "{MODEL}"\n' for name in PROVIDERS) + changes
