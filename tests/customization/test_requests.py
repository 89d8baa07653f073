"""What is refused before a job is made, and what a job is made with."""

from __future__ import annotations

from typing import Any

import pytest

from outcrop.customization import hyperparameters
from outcrop.customization.hyperparameters import METHOD
from outcrop.errors import ValidationException
from outcrop.settings import HOUSE_MODEL
from tests.customization.customizing import Customizing
from tests.customization.test_jobs import GOOD, code

LOGS = {"usePromptResponse": True, "invocationLogSource": {"s3Uri": "s3://bucket/logs/"}}


@pytest.fixture(scope="module")
def training(customizing: Customizing) -> str:
    return customizing.put("requests/train.jsonl", GOOD)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hyperParameters": {"epochs": "2"}}, "epochs are not known"),
        ({"hyperParameters": {"epochCount": "two"}}, "must be a whole number"),
        ({"hyperParameters": {"epochCount": "0"}}, "from 1 to 1000"),
        ({"hyperParameters": {"learningRate": "nan"}}, "from 1e-07 to 0.1"),
        ({"hyperParameters": {METHOD: "qlora"}}, "one of lora, full"),
        ({"hyperParameters": {"earlyStoppingPatience": "2"}}, "needs a validation dataset"),
        ({"baseModelIdentifier": "test.scripted-v1:0"}, "its weights are not here"),
        ({"baseModelIdentifier": "no.such-model"}, "model identifier is invalid"),
        ({"baseModelIdentifier": f"us.{HOUSE_MODEL}"}, "model identifier is invalid"),
        ({"customizationType": "DISTILLATION"}, "needs customizationConfig.distillationConfig"),
        ({"customizationType": "REINFORCEMENT_FINE_TUNING"}, "needs customizationConfig.rftConfig"),
        ({"customizationConfig": {"rftConfig": {}}}, "does not belong"),
        ({"trainingDataConfig": {}}, "needs an s3Uri or an invocationLogsConfig"),
        ({"trainingDataConfig": {"s3Uri": "s3://bucket/a", "invocationLogsConfig": LOGS}}, "and not both"),
        ({"trainingDataConfig": {"invocationLogsConfig": {**LOGS, "usePromptResponse": False}}}, "must be true"),
        (
            {"trainingDataConfig": {"invocationLogsConfig": LOGS}, "customizationType": "CONTINUED_PRE_TRAINING"},
            "needs an s3Uri",
        ),
        ({"customModelKmsKeyId": "alias/none"}, "KMS key"),
        ({"jobTags": [{"key": "aws:x", "value": "y"}]}, "aws:"),
    ],
)
def test_refused_at_once(customizing: Customizing, training: str, changes: dict[str, Any], words: str) -> None:
    create = customizing.bedrock.create_model_customization_job
    kind, message = code(create, **{**customizing.request(training), **changes})
    assert kind == "ValidationException"
    assert words in message
    listed = customizing.bedrock.list_model_customization_jobs(statusEquals="InProgress")
    assert listed["modelCustomizationJobSummaries"] == []


@pytest.mark.parametrize(
    ("base", "given", "validated", "wanted"),
    [
        (
            "amazon.nova-lite-v1:0:300k",
            {},
            False,
            {"epochCount": "2", "learningRate": "0.00001", "learningRateWarmupSteps": "10"},
        ),
        (
            "amazon.titan-text-express-v1",
            {"batchSize": "64"},
            False,
            {"epochCount": "5", "batchSize": "64", "learningRate": "0.00001", "learningRateWarmupSteps": "5"},
        ),
        (
            "us.anthropic.claude-3-haiku-20240307-v1:0",
            {},
            True,
            {
                "epochCount": "2", "batchSize": "32", "learningRateMultiplier": "1",
                "earlyStoppingThreshold": "0.001", "earlyStoppingPatience": "2",
            },
        ),
        (
            "cohere.command-text-v14",
            {},
            False,
            {"epochCount": "1", "batchSize": "8", "learningRate": "0.00001", "evalPercentage": "20"},
        ),
        ("meta.llama3-2-1b-instruct-v1:0", {}, False, {"epochCount": "5", "batchSize": "1", "learningRate": "0.0001"}),
    ],
)  # fmt: skip
def test_defaults_of_each_family(base: str, given: dict[str, str], validated: bool, wanted: dict[str, str]) -> None:
    found = hyperparameters.of(base, given, "fine-tuning", validated=validated)
    assert {name: value for name, value in found.items() if not name.startswith("outcrop.")} == wanted
    assert hyperparameters.trainers(found).epochs == int(wanted["epochCount"])


def test_a_multiplier_multiplies_a_rate() -> None:
    found = hyperparameters.of(
        "anthropic.claude-3-haiku", {"learningRateMultiplier": "0.5"}, "fine-tuning", validated=False
    )
    trainers = hyperparameters.trainers(found)
    assert trainers.learning_rate == pytest.approx(5e-5)
    assert trainers.early_stopping_patience is None


@pytest.mark.parametrize(
    ("base", "name", "value"),
    [
        ("amazon.nova-micro-v1:0", "epochCount", "6"),
        ("amazon.nova-micro-v1:0", "batchSize", "2"),
        ("amazon.titan-text-premier-v1:0", "learningRateWarmupSteps", "21"),
        ("anthropic.claude-3-haiku", "learningRateMultiplier", "2.1"),
        ("cohere.command-text-v14", "evalPercentage", "51"),
        ("meta.llama3-1-8b", "learningRate", "0.2"),
    ],
)
def test_ranges_of_each_family(base: str, name: str, value: str) -> None:
    with pytest.raises(ValidationException):
        hyperparameters.of(base, {name: value}, "fine-tuning", validated=True)


def test_models_say_what_can_be_made_of_them(customizing: Customizing) -> None:
    def supported(model: str) -> list[str]:
        details = customizing.bedrock.get_foundation_model(modelIdentifier=model)["modelDetails"]
        return list(details["customizationsSupported"])

    assert supported(HOUSE_MODEL) == ["FINE_TUNING", "CONTINUED_PRE_TRAINING", "DISTILLATION"]
    assert supported("meta.llama3-2-1b-instruct-v1:0") == ["FINE_TUNING", "CONTINUED_PRE_TRAINING", "DISTILLATION"]
    assert supported("test.scripted-v1:0") == []
    listed = customizing.bedrock.list_foundation_models(byCustomizationType="FINE_TUNING")["modelSummaries"]
    assert HOUSE_MODEL in {model["modelId"] for model in listed}
    assert "test.scripted-v1:0" not in {model["modelId"] for model in listed}


def test_an_earlier_custom_model_is_customized_further(customizing: Customizing, training: str) -> None:
    first = customizing.until(customizing.create(training))["outputModelArn"]
    job = customizing.until(customizing.create(training, baseModelIdentifier=first))
    assert job["status"] == "Completed", job
    assert job["baseModelArn"] == first
    assert f":custom-model/{HOUSE_MODEL}/" in job["outputModelArn"]
    kind, message = code(
        customizing.bedrock.create_model_customization_job,
        **customizing.request(training, baseModelIdentifier=first, hyperParameters={METHOD: "full"}),
    )
    assert (kind, "is an adapter" in message) == ("ValidationException", True)
    whole = customizing.until(customizing.create(training, hyperParameters={METHOD: "full"}))["outputModelArn"]
    further = customizing.until(customizing.create(training, baseModelIdentifier=whole))
    assert further["status"] == "Completed", further


def test_part_of_the_data_is_held_out_where_the_family_says_so(customizing: Customizing) -> None:
    records = [{"prompt": "steps 2", "completion": str(number)} for number in range(20)]
    job = customizing.until(
        customizing.create(
            customizing.put("held/train.jsonl", records),
            baseModelIdentifier="cohere.command-text-v14",
            hyperParameters={"evalPercentage": "25"},
        )
    )
    assert job["validationMetrics"] == [{"validationLoss": 1.25}]
