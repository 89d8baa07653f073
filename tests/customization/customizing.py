"""Customization as a client does it: data in a bucket, a job, a model, a deployment."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from outcrop.settings import HOUSE_MODEL
from tests.live import Server

ROLE = "arn:aws:iam::123456789012:role/CustomizationOfAnotherServer"
ENDED = ("Completed", "Failed", "Stopped")

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Customizing:
    """`s3`, `bedrock` and `runtime` are unmodified boto3 clients; `bucket` is theirs."""

    server: Server
    s3: Any
    bedrock: Any
    runtime: Any
    bucket: str

    def put(self, key: str, records: Iterable[Any]) -> str:
        """Values become JSON, texts stay; the URI."""
        lines = "".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in records)
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=lines.encode())
        return f"s3://{self.bucket}/{key}"

    def request(self, training: str, **more: Any) -> dict[str, Any]:
        number = next(_numbers)
        return {
            "jobName": f"job-{number}",
            "customModelName": f"model-{number}",
            "roleArn": ROLE,
            "baseModelIdentifier": HOUSE_MODEL,
            "trainingDataConfig": {"s3Uri": training},
            "outputDataConfig": {"s3Uri": f"s3://{self.bucket}/out/"},
            **more,
        }

    def create(self, training: str, **more: Any) -> str:
        """The ARN of a new job."""
        return str(self.bedrock.create_model_customization_job(**self.request(training, **more))["jobArn"])

    def get(self, arn: str) -> dict[str, Any]:
        return dict(self.bedrock.get_model_customization_job(jobIdentifier=arn))

    def until(self, arn: str, *statuses: str, seconds: float = 60) -> dict[str, Any]:
        """The job once it has one of the statuses; the end where none is given."""
        return self._until(lambda: self.get(arn), lambda job: job["status"] in (statuses or ENDED), seconds)

    def deploy(self, model: str, name: str = "") -> str:
        """The ARN of a deployment that is active."""
        arn = str(
            self.bedrock.create_custom_model_deployment(
                modelDeploymentName=name or f"deployment-{next(_numbers)}", modelArn=model
            )["customModelDeploymentArn"]
        )
        assert self.deployed(arn)["status"] == "Active", self.deployed(arn)
        return arn

    def deployed(self, arn: str) -> dict[str, Any]:
        """A deployment once it is not being made or updated any more."""

        def get() -> dict[str, Any]:
            return dict(self.bedrock.get_custom_model_deployment(customModelDeploymentIdentifier=arn))

        def settled(row: dict[str, Any]) -> bool:
            return str(row["status"]) != "Creating" and _update_status(row) != "Updating"

        return self._until(get, settled, 60)

    def say(self, model: str, text: str, tokens: int = 16) -> str:
        answer = self.runtime.converse(
            modelId=model,
            messages=[{"role": "user", "content": [{"text": text}]}],
            inferenceConfig={"maxTokens": tokens, "temperature": 0},
        )
        return "".join(block.get("text", "") for block in answer["output"]["message"]["content"])

    def read(self, key: str) -> str:
        return str(self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read().decode())

    def keys(self, prefix: str) -> list[str]:
        listed = self.s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return [entry["Key"].removeprefix(prefix) for entry in listed]

    def _until(
        self, get: Callable[[], dict[str, Any]], fits: Callable[[dict[str, Any]], bool], seconds: float
    ) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = get()
            if fits(found):
                return found
            time.sleep(0.1)
        raise AssertionError(f"{found}\n{self.server.log[-3000:]}")


def _update_status(row: dict[str, Any]) -> str:
    return str(row.get("updateDetails", {}).get("updateStatus"))


def outcrop(server: Server, *arguments: str) -> Any:
    """What a command of ours says as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "outcrop", *arguments, "--json"],
        env=dict(server.environment), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return json.loads(done.stdout)


def connect(
    server: Server, bucket: str = "customizing", key: Mapping[str, str] | None = None, region: str = "us-east-1"
) -> Customizing:
    """With the bucket made, if it is not there. `key`: of a user, as our commands show it; none: the administrator's."""
    environment = server.environment
    session = boto3.Session(
        key["AccessKeyId"] if key else environment["AWS_ACCESS_KEY_ID"],
        key["SecretAccessKey"] if key else environment["AWS_SECRET_ACCESS_KEY"],
        region_name=region,
    )
    # What a client would refuse by itself is sent.
    config = Config(retries={"total_max_attempts": 1}, parameter_validation=False, read_timeout=120)
    s3, bedrock, runtime = (
        session.client(name, endpoint_url=server.url, config=config) for name in ("s3", "bedrock", "bedrock-runtime")
    )
    if key is None and bucket not in [found["Name"] for found in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=bucket)
    return Customizing(server, s3, bedrock, runtime, bucket)
