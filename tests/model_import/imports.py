"""Import jobs as a client makes them: files in a bucket, a job, its end, the model."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tests.live import Server

_numbers = itertools.count(1)
ROLE = "arn:aws:iam::123456789012:role/ImportOfAnotherServer"


@dataclass(frozen=True)
class Imports:
    """Unmodified boto3 clients, and a bucket of theirs."""

    server: Server
    s3: Any
    bedrock: Any
    runtime: Any
    bucket: str

    def put(self, files: Mapping[str, bytes] | Path) -> str:
        """The URI of a new folder in the bucket."""
        folder = f"model-{next(_numbers)}/"
        if isinstance(files, Path):
            files = {file.name: file.read_bytes() for file in files.iterdir()}
        for name, body in files.items():
            self.s3.put_object(Bucket=self.bucket, Key=folder + name, Body=body)
        return f"s3://{self.bucket}/{folder}"

    def request(self, uri: str) -> dict[str, Any]:
        number = next(_numbers)
        return {
            "jobName": f"import-{number}",
            "importedModelName": f"imported-{number}",
            "roleArn": ROLE,
            "modelDataSource": {"s3DataSource": {"s3Uri": uri}},
        }

    def create(self, uri: str, **more: Any) -> str:
        return str(self.bedrock.create_model_import_job(**{**self.request(uri), **more})["jobArn"])

    def get(self, arn: str) -> dict[str, Any]:
        return dict(self.bedrock.get_model_import_job(jobIdentifier=arn))

    def ended(self, arn: str, seconds: float = 60) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while (job := self.get(arn))["status"] == "InProgress":
            assert time.monotonic() < deadline, job
            time.sleep(0.1)
        return job

    def model(self, files: Mapping[str, bytes] | Path) -> dict[str, Any]:
        """What GetImportedModel says of a model that came whole."""
        job = self.ended(self.create(self.put(files)))
        assert job["status"] == "Completed", job
        return dict(self.bedrock.get_imported_model(modelIdentifier=job["importedModelArn"]))

    def complete(self, arn: str, prompt: str) -> dict[str, Any]:
        body = {"prompt": prompt, "max_gen_len": 8, "temperature": 0}
        return dict(json.loads(self.runtime.invoke_model(modelId=arn, body=json.dumps(body))["body"].read()))


def connect(server: Server, **credentials: str) -> Imports:
    told = server.environment
    given = {
        "aws_access_key_id": told["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": told["AWS_SECRET_ACCESS_KEY"],
        "region_name": told["AWS_REGION"],
        **credentials,
    }
    session = boto3.Session(**given)
    config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
    s3 = session.client("s3", endpoint_url=server.url, config=config)
    bucket = f"imports-{next(_numbers)}"
    s3.create_bucket(Bucket=bucket)
    bedrock = session.client("bedrock", endpoint_url=server.url, config=config)
    return Imports(
        server, s3, bedrock, session.client("bedrock-runtime", endpoint_url=server.url, config=config), bucket
    )
