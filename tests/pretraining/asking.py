"""Pretraining as a client does it: requests that botocore signs and urllib sends, since no client of AWS has these operations."""

from __future__ import annotations

import itertools
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.live import Server

JOBS = "/outcrop/v1/pretraining-jobs"
ENDED = ("Completed", "Failed", "Stopped")
# A few seconds of one core, the model card included.
RECIPE = """
name = "tiny"
description = "A test's model."
tokenizer_examples = 200
held_out = 1
[model]
vocab_size = 512
hidden_size = 64
intermediate_size = 96
layers = 2
heads = 4
kv_heads = 2
context = 512
[train]
tokens = 6000
tokens_per_step = 1024
tokens_per_batch = 512
precision = "fp32"
"""
# So much that no test sees its end.
LONG = RECIPE.replace("tokens = 6000", "tokens = 100_000_000")

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Answer:
    status: int
    kind: str | None
    body: dict[str, Any]

    @property
    def message(self) -> str:
        return str(self.body.get("message"))


@dataclass(frozen=True)
class Asking:
    """One caller: `key` signs, a `token` is sent as it is."""

    server: Server
    key: Credentials | None = None
    token: str | None = None
    region: str = "us-east-1"

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        data = b"" if body is None else json.dumps(body).encode()
        request = AWSRequest(method, self.server.url + path, data=data, headers={"Content-Type": "application/json"})
        if self.key is not None:
            SigV4Auth(self.key, "bedrock", self.region).add_auth(request)
        if self.token is not None:
            request.headers["Authorization"] = f"Bearer {self.token}"
        sent = urllib.request.Request(  # noqa: S310 - loopback
            self.server.url + path, data=data or None, headers=dict(request.headers.items()), method=method
        )
        try:
            with urllib.request.urlopen(sent, timeout=60) as answer:  # noqa: S310 - loopback
                return Answer(answer.status, None, json.loads(answer.read()))
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.headers.get("x-amzn-errortype"), json.loads(error.read()))

    def request(self, **more: Any) -> dict[str, Any]:
        number = next(_numbers)
        return {"jobName": f"job-{number}", "modelName": f"model-{number}", "recipe": RECIPE, **more}

    def create(self, **more: Any) -> str:
        """The ARN of a new job."""
        answer = self.ask("POST", JOBS, self.request(**more))
        assert answer.status == 201, answer
        return str(answer.body["jobArn"])

    def get(self, identifier: str) -> dict[str, Any]:
        answer = self.ask("GET", f"{JOBS}/{quote(identifier, safe='')}")
        assert answer.status == 200, answer
        return answer.body

    def stop(self, identifier: str) -> Answer:
        return self.ask("POST", f"{JOBS}/{quote(identifier, safe='')}/stop", {})

    def until(self, identifier: str, *phases: str, seconds: float = 90) -> dict[str, Any]:
        """The job once it is in one of the phases; the end where none is given."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            job = self.get(identifier)
            if job["status"] in ENDED or job.get("phase") in phases:
                return job
            time.sleep(0.1)
        raise AssertionError(f"{job}\n{self.server.log[-3000:]}")


def administrator(server: Server) -> Asking:
    environment = server.environment
    return Asking(server, Credentials(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]))


def number_of(arn: str) -> str:
    return arn.rpartition("/")[2]
