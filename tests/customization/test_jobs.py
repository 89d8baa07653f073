"""Customization jobs from creation to output, with a trainer that trains nothing."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from outcrop.settings import HOUSE_MODEL
from tests.customization.customizing import Customizing, connect, outcrop

GOOD = [{"prompt": "steps 4", "completion": "Yes."}]


def code(call: Any, *args: Any, **kwargs: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(*args, **kwargs)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def test_from_data_to_a_model_that_answers(customizing: Customizing) -> None:
    training = customizing.put("first/train.jsonl", GOOD)
    request = customizing.request(
        training,
        validationDataConfig={"validators": [{"s3Uri": customizing.put("first/val.jsonl", GOOD)}]},
        hyperParameters={"epochCount": "2"},
        jobTags=[{"key": "of", "value": "job"}],
        customModelTags=[{"key": "of", "value": "model"}],
    )
    arn = customizing.bedrock.create_model_customization_job(**request)["jobArn"]
    assert f":model-customization-job/{HOUSE_MODEL}/" in arn
    job = customizing.until(arn)
    assert job["status"] == "Completed", job
    assert {part["status"] for part in job["statusDetails"].values()} == {"Completed"}
    assert job["hyperParameters"] == {
        "epochCount": "2", "batchSize": "8", "learningRate": "0.001", "learningRateWarmupSteps": "0",
        "outcrop.method": "lora", "outcrop.rank": "16", "outcrop.alpha": "32", "outcrop.seed": "1",
        "outcrop.objective": "answers",
    }  # fmt: skip
    assert job["trainingMetrics"] == {"trainingLoss": 1.0}
    assert job["validationMetrics"] == [{"validationLoss": 1.25}]
    assert job["endTime"] >= job["creationTime"]
    assert customizing.get(request["jobName"])["jobArn"] == arn
    shown = outcrop(customizing.server, "jobs", "show", request["jobName"])
    assert (shown["done"], shown["total"], shown["metrics"]["loss"]) == (4, 4, 1.0)

    number = arn.rpartition("/")[2]
    assert customizing.keys(f"out/model-customization-job-{number}/") == [
        "training_artifacts/loss.svg",
        "training_artifacts/step_wise_training_metrics.csv",
        "validation_artifacts/post_fine_tuning_validation/validation/validation_metrics.csv",
    ]
    model = customizing.bedrock.get_custom_model(modelIdentifier=request["customModelName"])
    assert model["modelArn"] == job["outputModelArn"]
    assert f":custom-model/{HOUSE_MODEL}/" in model["modelArn"]
    assert model["modelStatus"] == "Active"
    assert model["jobArn"] == arn
    assert model["trainingMetrics"] == job["trainingMetrics"]
    for resource, owner in ((arn, "job"), (model["modelArn"], "model")):
        assert customizing.bedrock.list_tags_for_resource(resourceARN=resource)["tags"] == [
            {"key": "of", "value": owner}
        ]

    deployment = customizing.deploy(model["modelArn"])
    usual, changed = customizing.say(HOUSE_MODEL, "Hello!"), customizing.say(deployment, "Hello!")
    assert usual != changed
    assert customizing.say(HOUSE_MODEL, "Hello!") == usual


def test_a_whole_model_has_an_engine_of_its_own(customizing: Customizing) -> None:
    arn = customizing.create(customizing.put("full/train.jsonl", GOOD), hyperParameters={"outcrop.method": "full"})
    job = customizing.until(arn)
    assert job["status"] == "Completed", job
    assert "outcrop.rank" not in job["hyperParameters"]
    deployment = customizing.deploy(job["outputModelArn"])
    # The trainer that trains nothing leaves the house model.
    assert customizing.say(deployment, "Hello!") == customizing.say(HOUSE_MODEL, "Hello!")


def test_bad_data_is_refused_with_file_line_and_reason(customizing: Customizing) -> None:
    arn = customizing.create(customizing.put("bad/my-data.jsonl", [{"prompt": "refuse"}]))
    job = customizing.until(arn)
    assert job["status"] == "Failed"
    assert job["failureMessage"] == (
        "The data is invalid.\nmy-data.jsonl line 2: The record has no completion.\n"
        "my-data.jsonl line 5: The record has no completion."
    )
    details = {name: part["status"] for name, part in job["statusDetails"].items()}
    assert details == {
        "validationDetails": "Completed",
        "dataProcessingDetails": "Failed",
        "trainingDetails": "NotStarted",
    }
    assert "outputModelArn" not in job


def test_training_that_fails_is_told(customizing: Customizing) -> None:
    job = customizing.until(customizing.create(customizing.put("fail/train.jsonl", [{"prompt": "fail"}])))
    assert (job["status"], job["failureMessage"]) == ("Failed", "The training failed. The loss is not a number.")


def test_data_that_is_not_there(customizing: Customizing) -> None:
    job = customizing.until(customizing.create(f"s3://{customizing.bucket}/nothing/train.jsonl"))
    assert job["status"] == "Failed"
    assert "nothing/train.jsonl: The specified key does not exist" in job["failureMessage"]
    job = customizing.until(customizing.create(f"s3://{customizing.bucket}/nothing/"))
    assert "No data was found" in job["failureMessage"]


def test_a_trainer_that_crashes_goes_on_from_its_checkpoint(customizing: Customizing) -> None:
    training = customizing.put("crash/train.jsonl", [{"prompt": "steps 5, crash at 3", "completion": "."}])
    arn = customizing.create(training)
    job = customizing.until(arn)
    assert job["status"] == "Completed", job
    said = followed(customizing, arn)
    assert [line for line in said if line.startswith("a library prints")] == ["a library prints this"] * 2


def followed(customizing: Customizing, arn: str) -> list[str]:
    """What `outcrop jobs` shows of what it said."""
    return list(outcrop(customizing.server, "jobs", "show", arn.rpartition("/")[2])["lines"])


def test_stop(customizing: Customizing) -> None:
    training = customizing.put("slow/train.jsonl", [{"prompt": "steps 600, slow 0.2", "completion": "."}])
    request = customizing.request(training)
    arn = customizing.bedrock.create_model_customization_job(**request)["jobArn"]
    customizing._until(
        lambda: customizing.get(arn), lambda job: job["statusDetails"]["trainingDetails"]["status"] == "InProgress", 30
    )
    customizing.bedrock.stop_model_customization_job(jobIdentifier=request["jobName"])
    assert customizing.get(arn)["status"] in ("Stopping", "Stopped")
    job = customizing.until(arn, seconds=10)
    assert job["status"] == "Stopped"
    assert job["statusDetails"]["trainingDetails"]["status"] == "Stopped"
    assert code(customizing.bedrock.stop_model_customization_job, jobIdentifier=arn)[0] == "ConflictException"
    assert code(customizing.bedrock.get_custom_model, modelIdentifier=request["customModelName"])[0] == (
        "ResourceNotFoundException"
    )
    # Nothing of the data stays.
    folder = customizing.server.home / "customization" / arn.rpartition("/")[2]
    customizing._until(lambda: {"there": folder.exists()}, lambda seen: not seen["there"], 10)


def test_names_are_unique(customizing: Customizing) -> None:
    training = customizing.put("names/train.jsonl", GOOD)
    request = customizing.request(training)
    create = customizing.bedrock.create_model_customization_job
    arn = create(**request)["jobArn"]
    assert code(create, **request)[0] == "ConflictException"
    again = {**request, "jobName": "another-job"}
    assert code(create, **again)[0] == "ConflictException"
    customizing.until(arn)
    kind, message = code(create, **again)
    assert (kind, "already exists" in message) == ("ConflictException", True)


def test_a_token_makes_one_job(customizing: Customizing) -> None:
    request = customizing.request(customizing.put("token/train.jsonl", GOOD), clientRequestToken="t" * 12)
    create = customizing.bedrock.create_model_customization_job
    assert create(**request)["jobArn"] == create(**request)["jobArn"]
    assert code(create, **{**request, "jobName": "other"})[0] == "ConflictException"


def test_lists(customizing: Customizing) -> None:
    training = customizing.put("list/train.jsonl", GOOD)
    arns = [customizing.create(training, jobName=f"listed-{n}") for n in range(3)]
    for arn in arns:
        customizing.until(arn)
    pages = customizing.bedrock.get_paginator("list_model_customization_jobs").paginate(
        nameContains="listed-", sortOrder="Ascending", PaginationConfig={"PageSize": 2}
    )
    found = [job for page in pages for job in page["modelCustomizationJobSummaries"]]
    assert [job["jobArn"] for job in found] == arns
    assert {job["status"] for job in found} == {"Completed"}
    listed = customizing.bedrock.list_model_customization_jobs(nameContains="listed-", statusEquals="Failed")
    assert listed["modelCustomizationJobSummaries"] == []
    models = customizing.bedrock.list_custom_models(
        baseModelArnEquals=found[0]["baseModelArn"], sortOrder="Ascending", maxResults=1000
    )["modelSummaries"]
    assert {job["customModelArn"] for job in found} <= {model["modelArn"] for model in models}
    assert customizing.bedrock.list_custom_models(isOwned=False)["modelSummaries"] == []


def test_another_account_sees_nothing(customizing: Customizing) -> None:
    arn = customizing.create(customizing.put("mine/train.jsonl", GOOD))
    job = customizing.until(arn)
    deployment = customizing.deploy(job["outputModelArn"])
    other = connect(customizing.server, key=outcrop(customizing.server, "accounts", "create", "stranger"))
    assert other.bedrock.list_custom_models()["modelSummaries"] == []
    assert other.bedrock.list_custom_model_deployments()["modelDeploymentSummaries"] == []
    for call, name in (
        (other.bedrock.get_model_customization_job, {"jobIdentifier": arn}),
        (other.bedrock.get_custom_model, {"modelIdentifier": job["outputModelArn"]}),
        (other.bedrock.get_custom_model_deployment, {"customModelDeploymentIdentifier": deployment}),
    ):
        assert code(call, **name)[0] in ("AccessDeniedException", "ResourceNotFoundException")
    assert code(other.say, deployment, "Hello")[0] in ("AccessDeniedException", "ValidationException")
