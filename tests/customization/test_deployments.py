"""Deployments: made, called, exchanged, deleted; of another server on the same data; under load."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from outcrop.settings import HOUSE_MODEL
from tests.customization.conftest import SETTINGS, SHADOW
from tests.customization.customizing import Customizing, connect, outcrop
from tests.customization.test_jobs import GOOD, code
from tests.live import serve


@dataclass(frozen=True)
class Models:
    """ARNs of two adapters and a whole model of the house model."""

    first: str
    second: str
    whole: str


@pytest.fixture(scope="module")
def models(customizing: Customizing) -> Models:
    training = customizing.put("models/train.jsonl", GOOD)
    arns = [customizing.create(training, hyperParameters=chosen) for chosen in ({}, {}, {"outcrop.method": "full"})]
    return Models(*(customizing.until(arn)["outputModelArn"] for arn in arns))


def soon(holds: Callable[[], bool]) -> None:
    """What another process, or a job, has written is known within a moment."""
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def answer_of(there: Customizing, model: str) -> str:
    """What is said, or the code of the error."""
    try:
        return there.say(model, "Hello!")
    except ClientError as error:
        return str(error.response["Error"]["Code"])


def test_a_deployment_is_called_like_any_model(customizing: Customizing, models: Models) -> None:
    arn = customizing.deploy(models.first, "called")
    shown = customizing.bedrock.get_custom_model_deployment(customModelDeploymentIdentifier="called")
    assert shown["customModelDeploymentArn"] == arn
    assert shown["modelArn"] == models.first
    usual, changed = customizing.say(HOUSE_MODEL, "Hello!"), customizing.say(arn, "Hello!")
    assert changed != usual
    streamed = customizing.runtime.converse_stream(
        modelId=arn,
        messages=[{"role": "user", "content": [{"text": "Hello!"}]}],
        inferenceConfig={"maxTokens": 16, "temperature": 0},
    )["stream"]
    deltas = [event["contentBlockDelta"]["delta"]["text"] for event in streamed if "contentBlockDelta" in event]
    assert "".join(deltas) == changed
    counted = customizing.runtime.count_tokens(
        modelId=arn, input={"converse": {"messages": [{"role": "user", "content": [{"text": "Hello!"}]}]}}
    )
    assert counted["inputTokens"] > 1
    # A custom model's own ARN is not called, and neither is its name.
    for name in (models.first, models.first.rpartition("/")[2]):
        assert code(customizing.say, name, "Hello!")[0] == "ValidationException"


def test_an_update_exchanges_the_model(customizing: Customizing, models: Models) -> None:
    arn = customizing.deploy(models.first, "updated")
    first = customizing.say(arn, "Hello!")
    customizing.bedrock.update_custom_model_deployment(
        customModelDeploymentIdentifier="updated", modelArn=models.second
    )
    row = customizing.deployed(arn)
    assert row["updateDetails"] == {"modelArn": models.second, "updateStatus": "UpdateCompleted"}
    assert row["modelArn"] == models.second
    soon(lambda: customizing.say(arn, "Hello!") != first)


def test_what_is_deployed_is_not_deleted(customizing: Customizing) -> None:
    model = customizing.until(customizing.create(customizing.put("kept/train.jsonl", GOOD)))["outputModelArn"]
    arn = customizing.deploy(model)
    files = customizing.server.home / "custom-models" / model.rpartition("/")[2]
    assert code(customizing.bedrock.delete_custom_model, modelIdentifier=model)[0] == "ConflictException"
    customizing.say(arn, "Hello!")
    customizing.bedrock.delete_custom_model_deployment(customModelDeploymentIdentifier=arn)
    assert code(customizing.say, arn, "Hello!")[0] == "ValidationException"
    assert files.exists()
    customizing.bedrock.delete_custom_model(modelIdentifier=model)
    assert code(customizing.bedrock.get_custom_model, modelIdentifier=model)[0] == "ResourceNotFoundException"
    assert not files.exists()
    # The base goes on, with or without a process that has loaded what is gone.
    assert customizing.say(HOUSE_MODEL, "Hello!")


def test_a_model_whose_files_are_gone_fails_to_deploy(customizing: Customizing) -> None:
    model = customizing.until(customizing.create(customizing.put("gone/train.jsonl", GOOD)))["outputModelArn"]
    (customizing.server.home / "custom-models" / model.rpartition("/")[2] / "adapter.gguf").unlink()
    arn = customizing.bedrock.create_custom_model_deployment(modelDeploymentName="gone", modelArn=model)[
        "customModelDeploymentArn"
    ]
    row = customizing.deployed(arn)
    assert row["status"] == "Failed"
    assert "cannot be read" in row["failureMessage"]
    assert code(customizing.say, arn, "Hello!")[0] == "ValidationException"
    assert customizing.say(HOUSE_MODEL, "Hello!")


def test_names_tokens_and_lists(customizing: Customizing, models: Models) -> None:
    create = customizing.bedrock.create_custom_model_deployment
    given: dict[str, Any] = {
        "modelDeploymentName": "named", "modelArn": models.first, "clientRequestToken": "n" * 12,
        "description": "As it is told.", "tags": [{"key": "a", "value": "b"}],
    }  # fmt: skip
    arn = create(**given)["customModelDeploymentArn"]
    assert create(**given)["customModelDeploymentArn"] == arn
    assert code(create, **{**given, "description": "Other."})[0] == "ValidationException"
    assert code(create, modelDeploymentName="named", modelArn=models.first)[0] == "ValidationException"
    assert code(create, modelDeploymentName="x", modelArn=models.first[:-3] + "zzz")[0] == "ResourceNotFoundException"
    assert customizing.deployed(arn)["description"] == "As it is told."
    assert customizing.bedrock.list_tags_for_resource(resourceARN=arn)["tags"] == given["tags"]
    listed = customizing.bedrock.list_custom_model_deployments(
        nameContains="named", modelArnEquals=models.first, statusEquals="Active"
    )["modelDeploymentSummaries"]
    assert [(row["customModelDeploymentArn"], row["customModelDeploymentName"]) for row in listed] == [(arn, "named")]


def test_an_update_keeps_to_the_base(customizing: Customizing, models: Models) -> None:
    other = customizing.until(
        customizing.create(
            customizing.put("other/train.jsonl", GOOD), baseModelIdentifier="meta.llama3-2-1b-instruct-v1:0"
        )
    )
    assert other["hyperParameters"]["learningRate"] == "0.0001"
    assert ":custom-model/meta.llama3-2-1b-instruct-v1:0/" in other["outputModelArn"]
    arn = customizing.deploy(models.first)
    kind, message = code(
        customizing.bedrock.update_custom_model_deployment,
        customModelDeploymentIdentifier=arn,
        modelArn=other["outputModelArn"],
    )
    assert (kind, "another base model" in message) == ("ValidationException", True)


def test_provisioned_throughput_of_a_custom_model(customizing: Customizing, models: Models) -> None:
    bedrock = customizing.bedrock
    arn = bedrock.create_provisioned_model_throughput(modelUnits=1, provisionedModelName="mine", modelId=models.first)[
        "provisionedModelArn"
    ]
    shown = bedrock.get_provisioned_model_throughput(provisionedModelId="mine")
    assert (shown["status"], shown["modelArn"]) == ("InService", models.first)
    assert shown["foundationModelArn"].endswith(f"foundation-model/{HOUSE_MODEL}")
    usual, first = customizing.say(HOUSE_MODEL, "Hello!"), customizing.say(arn, "Hello!")
    assert first != usual
    assert customizing.say("mine", "Hello!") == first
    assert code(bedrock.delete_custom_model, modelIdentifier=models.first)[0] == "ConflictException"
    # The places are those of the base's engine: four, of which one stays for all.
    kind, _ = code(
        bedrock.create_provisioned_model_throughput, modelUnits=3, provisionedModelName="more", modelId=models.second
    )
    assert kind == "ServiceQuotaExceededException"
    bedrock.update_provisioned_model_throughput(provisionedModelId="mine", desiredModelId=models.second)
    assert customizing.say(arn, "Hello!") not in (first, usual)
    kind, _ = code(bedrock.update_provisioned_model_throughput, provisionedModelId="mine", desiredModelId=models.whole)
    assert kind == "ValidationException"
    whole = bedrock.create_provisioned_model_throughput(
        modelUnits=3, provisionedModelName="whole", modelId=models.whole
    )["provisionedModelArn"]
    assert customizing.say(whole, "Hello!") == usual
    for name in ("mine", "whole"):
        bedrock.delete_provisioned_model_throughput(provisionedModelId=name)
    assert code(customizing.say, arn, "Hello!")[0] == "ResourceNotFoundException"


def test_another_server_on_the_same_data_knows_them(customizing: Customizing, models: Models) -> None:
    arn = customizing.deploy(models.first)
    changed = customizing.say(arn, "Hello!")
    with serve(customizing.server.home, settings=SETTINGS, more=SHADOW) as second:
        there = connect(second)
        assert there.say(arn, "Hello!") == changed
        late = customizing.deploy(models.second)
        assert there.say(late, "Hello!") == customizing.say(late, "Hello!")
        customizing.bedrock.delete_custom_model_deployment(customModelDeploymentIdentifier=late)
        soon(lambda: answer_of(there, late) == "ValidationException")


def test_nobody_fails_while_deployments_come_and_go(customizing: Customizing, models: Models) -> None:
    usual = customizing.say(HOUSE_MODEL, "Hello!")
    steady = customizing.deploy(models.first)
    changed = customizing.say(steady, "Hello!")
    over, said = threading.Event(), list[tuple[str, str]]()

    def ask(model: str) -> None:
        while not over.is_set():
            said.append((model, customizing.say(model, "Hello!")))

    asking = [threading.Thread(target=ask, args=(model,)) for model in (HOUSE_MODEL, HOUSE_MODEL, steady)]
    for thread in asking:
        thread.start()
    for _ in range(2):
        training = customizing.put("load/train.jsonl", GOOD)
        model = customizing.until(customizing.create(training))["outputModelArn"]
        arn = customizing.deploy(model)
        customizing.say(arn, "Hello!")
        customizing.bedrock.delete_custom_model_deployment(customModelDeploymentIdentifier=arn)
    over.set()
    for thread in asking:
        thread.join()
    assert set(said) == {(HOUSE_MODEL, usual), (steady, changed)}
    assert len(said) > 20


def test_who_may_call_a_deployment(customizing: Customizing, models: Models) -> None:
    arn = customizing.deploy(models.first, "allowed")
    refused = customizing.deploy(models.first, "refused")
    asking = user(customizing, "caller", {"Effect": "Allow", "Action": "bedrock:InvokeModel", "Resource": arn})
    assert asking.say(arn, "Hello!")
    assert code(asking.say, refused, "Hello!")[0] == "AccessDeniedException"
    # A policy may deny the model, whatever it is called by.
    denied = user(
        customizing,
        "denied",
        {"Effect": "Allow", "Action": "bedrock:InvokeModel", "Resource": "*"},
        {"Effect": "Deny", "Action": "bedrock:*", "Resource": models.first},
    )
    assert code(denied.say, arn, "Hello!")[0] == "AccessDeniedException"
    reader: Callable[..., Any] = denied.bedrock.get_custom_model
    assert code(reader, modelIdentifier=models.first)[0] == "AccessDeniedException"


def user(customizing: Customizing, name: str, *statements: dict[str, str]) -> Customizing:
    server = customizing.server
    outcrop_ = [sys.executable, "-m", "outcrop"]
    run: dict[str, Any] = {"env": dict(server.environment), "check": True, "capture_output": True, "text": True}
    subprocess.run([*outcrop_, "users", "create", name], **run)
    document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    subprocess.run([*outcrop_, "policies", "put", name, "-"], input=document, **run)
    subprocess.run([*outcrop_, "policies", "attach", name, "--user", name], **run)
    return connect(server, key=outcrop(server, "keys", "create", "--user", name))
