"""CreateCustomModel, and model copy jobs between regions and accounts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from outcrop.models.specs import house_path
from outcrop.settings import HOUSE_MODEL
from tests.customization.customizing import ROLE, Customizing, connect, outcrop
from tests.customization.test_deployments import soon
from tests.customization.test_jobs import GOOD, code


def created(customizing: Customizing, source: str, name: str) -> dict[str, Any]:
    """A custom model of what lies there, once it is active or has failed."""
    given: dict[str, Any] = {
        "modelName": name, "roleArn": ROLE, "modelSourceConfig": {"s3DataSource": {"s3Uri": source}},
        "modelTags": [{"key": "a", "value": "b"}],
    }  # fmt: skip
    arn = customizing.bedrock.create_custom_model(**given)["modelArn"]
    return customizing._until(
        lambda: dict(customizing.bedrock.get_custom_model(modelIdentifier=arn)),
        lambda model: model["modelStatus"] != "Creating",
        30,
    )


def test_a_model_is_made_of_files_in_s3(customizing: Customizing) -> None:
    customizing.s3.upload_file(str(house_path()), customizing.bucket, "brought/house.gguf")
    model = created(customizing, f"s3://{customizing.bucket}/brought/", "brought")
    assert model["modelStatus"] == "Active", model
    assert model["customizationType"] == "IMPORTED"
    assert ":custom-model/imported/" in model["modelArn"]
    assert customizing.bedrock.list_tags_for_resource(resourceARN=model["modelArn"])["tags"] == [
        {"key": "a", "value": "b"}
    ]
    arn = customizing.deploy(model["modelArn"])
    assert customizing.say(arn, "Hello!") == customizing.say(HOUSE_MODEL, "Hello!")
    # It is a base like any other.
    job = customizing.until(customizing.create(customizing.put("b/train.jsonl", GOOD), baseModelIdentifier="brought"))
    assert job["status"] == "Completed", job
    assert job["baseModelArn"] == model["modelArn"]
    assert customizing.deploy(job["outputModelArn"])


def test_an_imported_model_is_a_base_by_its_name(customizing: Customizing) -> None:
    customizing.s3.upload_file(str(house_path()), customizing.bucket, "imported/house.gguf")
    importing = customizing.bedrock.create_model_import_job(
        jobName="base", importedModelName="imported-base", roleArn=ROLE,
        modelDataSource={"s3DataSource": {"s3Uri": f"s3://{customizing.bucket}/imported/"}},
    )["jobArn"]  # fmt: skip
    done = customizing._until(
        lambda: dict(customizing.bedrock.get_model_import_job(jobIdentifier=importing)),
        lambda job: job["status"] != "InProgress",
        30,
    )
    assert done["status"] == "Completed", done.get("failureMessage")
    training = customizing.put("i/train.jsonl", GOOD)
    job = customizing.until(customizing.create(training, baseModelIdentifier="imported-base"))
    assert job["status"] == "Completed", job
    assert job["baseModelArn"] == done["importedModelArn"]
    assert customizing.say(customizing.deploy(job["outputModelArn"]), "Hello!")


def test_files_that_are_no_model(customizing: Customizing) -> None:
    customizing.put("nonsense/readme.txt", ["x"])
    model = created(customizing, f"s3://{customizing.bucket}/nonsense/", "nonsense")
    assert model["modelStatus"] == "Failed"
    assert "no weights" in model["failureMessage"]
    kind, _ = code(
        customizing.bedrock.create_custom_model_deployment, modelDeploymentName="n", modelArn=model["modelArn"]
    )
    assert kind == "ValidationException"
    customizing.bedrock.delete_custom_model(modelIdentifier="nonsense")


def test_refused_at_once(customizing: Customizing) -> None:
    create = customizing.bedrock.create_custom_model
    package = {"modelPackageArnDataSource": {"modelPackageArn": "arn:aws:sagemaker:us-east-1:1:model-package/x"}}
    for source in (
        {},
        {"customModelDataSource": package},
        {"modelSourceConfig": {"s3DataSource": {"s3Uri": "s3://B/"}}},
    ):
        assert code(create, modelName="x", roleArn=ROLE, **source)[0] == "ValidationException"


@pytest.fixture(scope="module")
def model(customizing: Customizing) -> str:
    return str(customizing.until(customizing.create(customizing.put("c/train.jsonl", GOOD)))["outputModelArn"])


def copied(there: Customizing, source: str, name: str) -> dict[str, Any]:
    """A copy job once it has ended, in the region and account of `there`."""
    arn = there.bedrock.create_model_copy_job(
        sourceModelArn=source, targetModelName=name, targetModelTags=[{"key": "a", "value": "b"}]
    )["jobArn"]
    return there._until(
        lambda: dict(there.bedrock.get_model_copy_job(jobArn=arn)), lambda job: job["status"] != "InProgress", 30
    )


def test_a_copy_in_another_region(customizing: Customizing, model: str) -> None:
    there = connect(customizing.server, region="eu-west-1")
    assert code(there.bedrock.get_custom_model, modelIdentifier=model)[0] == "ResourceNotFoundException"
    job = copied(there, model, "over-there")
    assert job["status"] == "Completed", job
    assert job["sourceModelArn"] == model
    assert job["targetModelArn"].startswith("arn:aws:bedrock:eu-west-1:")
    copy = there.bedrock.get_custom_model(modelIdentifier="over-there")
    assert (copy["modelArn"], copy["modelStatus"]) == (job["targetModelArn"], "Active")
    assert there.bedrock.list_tags_for_resource(resourceARN=copy["modelArn"])["tags"][0]["value"] == "b"
    deployment, original = there.deploy(copy["modelArn"]), customizing.deploy(model)
    assert there.say(deployment, "Hello!") == customizing.say(original, "Hello!")
    listed = there.bedrock.list_model_copy_jobs(sourceModelArnEquals=model, statusEquals="Completed")
    assert [one["jobArn"] for one in listed["modelCopyJobSummaries"]] == [job["jobArn"]]
    assert there.bedrock.list_model_copy_jobs(targetModelNameContains="nothing")["modelCopyJobSummaries"] == []
    # The name is taken now.
    kind, _ = code(there.bedrock.create_model_copy_job, sourceModelArn=model, targetModelName="over-there")
    assert kind == "ConflictException"


def test_a_copy_in_another_account_needs_the_models_leave(customizing: Customizing, model: str) -> None:
    key = outcrop(customizing.server, "accounts", "create", "receiver")
    there = connect(customizing.server, key=key)
    given = {"sourceModelArn": model, "targetModelName": "shared"}
    assert code(there.bedrock.create_model_copy_job, **given)[0] == "AccessDeniedException"
    statement = {
        "Effect": "Allow", "Principal": {"AWS": key["AccountId"]}, "Action": "bedrock:CreateModelCopyJob",
        "Resource": model,
    }  # fmt: skip
    customizing.bedrock.put_resource_policy(
        resourceArn=model, resourcePolicy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    )
    # Policies are read again after a second.
    soon(lambda: "AccessDeniedException" not in refusal_of(there, given))
    (listed,) = there.bedrock.list_model_copy_jobs()["modelCopyJobSummaries"]
    job = there._until(
        lambda: dict(there.bedrock.get_model_copy_job(jobArn=listed["jobArn"])),
        lambda job: job["status"] != "InProgress",
        30,
    )
    assert job["status"] == "Completed", job
    assert job["sourceAccountId"] == model.split(":")[4]
    deployment = there.deploy(job["targetModelArn"])
    changed = there.say(deployment, "Hello!")
    # The copy is the receiver's own: it stays when the original goes.
    assert changed != there.say(HOUSE_MODEL, "Hello!")
    assert code(there.bedrock.create_custom_model_deployment, modelDeploymentName="x", modelArn=model)[0] in (
        "AccessDeniedException", "ResourceNotFoundException",
    )  # fmt: skip


def refusal_of(there: Customizing, given: dict[str, Any]) -> str:
    """The code of the error, or nothing."""
    try:
        there.bedrock.create_model_copy_job(**given)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return ""
