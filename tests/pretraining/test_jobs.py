"""A recipe becomes a model that answers; a job is stopped, and found by its account only."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import boto3
import pytest
from botocore.credentials import Credentials

from tests.live import Server
from tests.pretraining.asking import JOBS, LONG, Asking, number_of

BUCKET = "pretraining"


def client(asking: Asking, service: str) -> Any:
    assert asking.key is not None
    return boto3.client(
        service,
        endpoint_url=asking.server.url,
        aws_access_key_id=asking.key.access_key,
        aws_secret_access_key=asking.key.secret_key,
        region_name=asking.region,
    )


def outcrop(server: Server, *arguments: str, given: str | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "outcrop", *arguments],
        env=dict(server.environment), capture_output=True, text=True, check=False, input=given,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_recipe_becomes_a_model_that_answers(asking: Asking) -> None:
    s3, bedrock, runtime = (client(asking, name) for name in ("s3", "bedrock", "bedrock-runtime"))
    s3.create_bucket(Bucket=BUCKET)
    arn = asking.create(
        jobName="first",
        modelName="pebble",
        outputDataConfig={"s3Uri": f"s3://{BUCKET}/out/"},
        tags=[{"key": "team", "value": "stones"}],
    )
    watched = outcrop(asking.server, "jobs", "watch", "first")
    for phase in ("data processing", "training", "exporting", "delivering", "completed"):
        assert phase in watched

    job = asking.get("first")
    assert job["status"] == "Completed", job
    assert job["metrics"]["tokens"] >= 6000
    assert job["metrics"]["parameters"] < 100_000
    assert job["metrics"]["trainingLoss"] == pytest.approx(job["progress"]["loss"], abs=1e-5)
    assert job["progress"]["totalTokens"] == 6000
    assert job["tags"] == [{"key": "team", "value": "stones"}]
    assert asking.get(arn) == asking.get(number_of(arn)) == job

    model = bedrock.get_imported_model(modelIdentifier="pebble")
    assert (model["modelArn"], model["jobArn"], model["jobName"]) == (job["modelArn"], arn, "first")
    assert bedrock.list_tags_for_resource(resourceARN=model["modelArn"])["tags"] == job["tags"]
    said = runtime.converse(
        modelId=model["modelArn"],
        messages=[{"role": "user", "content": [{"text": "Hello!"}]}],
        inferenceConfig={"maxTokens": 8},
    )
    assert said["usage"]["outputTokens"] > 0

    prefix = f"out/pretraining-job-{number_of(arn)}/"
    kept = {entry["Key"].removeprefix(prefix): entry["Size"] for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]}
    assert set(kept) == {
        "recipe.toml", "step_wise_training_metrics.csv", "loss.svg", "MODEL_CARD.md", "evaluation.json",
    }  # fmt: skip
    assert all(kept.values())
    card = s3.get_object(Bucket=BUCKET, Key=prefix + "MODEL_CARD.md")["Body"].read().decode()
    assert card.startswith("# tiny")
    assert until_gone(asking.server.home / "pretraining" / number_of(arn))

    # It may be trained further, by its name: AWS has no pattern for the ARN of an imported base.
    s3.put_object(Bucket=BUCKET, Key="train.jsonl", Body=json.dumps({"prompt": "a", "completion": "b"}).encode())
    further = bedrock.create_model_customization_job(
        jobName="further", customModelName="polished", roleArn="arn:aws:iam::123456789012:role/Elsewhere",
        baseModelIdentifier="pebble", trainingDataConfig={"s3Uri": f"s3://{BUCKET}/train.jsonl"},
        outputDataConfig={"s3Uri": f"s3://{BUCKET}/"},
    )  # fmt: skip
    found = bedrock.get_model_customization_job(jobIdentifier=further["jobArn"])
    assert found["baseModelArn"] == model["modelArn"]
    bedrock.stop_model_customization_job(jobIdentifier=further["jobArn"])

    again = asking.ask("POST", JOBS, asking.request(modelName="pebble"))
    assert (again.status, again.kind) == (400, "ConflictException")
    assert "pebble exists already" in again.message


def test_a_stopped_job_ends_soon_and_leaves_nothing(asking: Asking) -> None:
    arn = asking.create(jobName="stopped", modelName="never", recipe=LONG)
    taken = asking.ask("POST", JOBS, asking.request(modelName="never"))
    assert (taken.kind, "is making a model with the name never" in taken.message) == ("ConflictException", True)
    assert asking.until(arn, "training")["status"] == "InProgress"
    began = time.monotonic()
    assert asking.stop(arn).status == 200
    assert asking.until(arn)["status"] == "Stopped"
    assert time.monotonic() - began < 10
    assert "modelArn" not in asking.get(arn)
    home = asking.server.home
    assert until_gone(home / "pretraining" / number_of(arn), home / "custom-models" / number_of(arn))
    again = asking.stop(arn)
    assert (again.status, again.kind) == (400, "ConflictException")
    assert "its status is Stopped" in again.message


def test_pages_of_jobs(asking: Asking) -> None:
    arns = [asking.create(jobName=f"page-{number}", recipe=LONG) for number in range(3)]
    for arn in arns:
        asking.stop(arn)
    path, found = f"{JOBS}?nameContains=page-&maxResults=2&sortOrder=Ascending", []
    first = asking.ask("GET", path).body
    second = asking.ask("GET", f"{path}&nextToken={quote(first['nextToken'], safe='')}").body
    found = [job["jobArn"] for page in (first, second) for job in page["pretrainingJobSummaries"]]
    assert found == arns
    assert "nextToken" not in second
    for arn in arns:
        assert asking.until(arn)["status"] == "Stopped"


def test_another_account_and_users_without_leave(asking: Asking) -> None:
    server = asking.server
    arn = asking.create(jobName="ours", recipe=LONG)
    theirs = Asking(server, key_of(json.loads(outcrop(server, "accounts", "create", "others", "--json"))))
    assert theirs.ask("GET", f"{JOBS}/ours").status == 404
    assert theirs.ask("GET", f"{JOBS}/{quote(arn, safe='')}").kind == "AccessDeniedException"
    assert theirs.stop(number_of(arn)).kind == "ResourceNotFoundException"
    assert theirs.ask("GET", JOBS).body == {"pretrainingJobSummaries": []}

    outcrop(server, "users", "create", "ann")
    ann = Asking(server, key_of(json.loads(outcrop(server, "keys", "create", "--user", "ann", "--json"))))
    refused = ann.ask("POST", JOBS, ann.request())
    assert (refused.status, refused.kind) == (403, "AccessDeniedException")
    assert "outcrop:CreatePretrainingJob on resource: arn:aws:bedrock:us-east-1:" in refused.message
    allow(server, "ann", ["outcrop:GetPretrainingJob", "outcrop:StopPretrainingJob"], arn)
    # A policy that changes holds within a second.
    assert until(lambda: ann.ask("GET", f"{JOBS}/ours").status == 200)
    assert ann.get("ours")["jobArn"] == arn
    assert ann.ask("POST", JOBS, ann.request()).status == 403
    assert ann.ask("GET", f"{JOBS}/first-of-others").status == 403

    token = json.loads(outcrop(server, "keys", "create", "--api-key", "--user", "ann", "--json"))
    bearer = Asking(server, token=token["ServiceApiKeyValue"])
    assert bearer.stop("ours").status == 200
    assert asking.until(arn)["status"] == "Stopped"
    nobody = Asking(server).ask("GET", JOBS)
    assert nobody.status == 403
    assert server.says("StopPretrainingJob", "user/ann")


def allow(server: Server, user: str, actions: list[str], resource: str) -> None:
    statements = [
        {"Effect": "Allow", "Action": actions, "Resource": resource},
        {"Effect": "Allow", "Action": "bedrock:CallWithBearerToken", "Resource": "*"},
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    outcrop(server, "policies", "put", user, "-", given=document)
    outcrop(server, "policies", "attach", user, "--user", user)


def key_of(made: dict[str, Any]) -> Credentials:
    return Credentials(made["AccessKeyId"], made["SecretAccessKey"])


def until(holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def until_gone(*paths: Path) -> bool:
    return until(lambda: not any(path.exists() for path in paths))
