"""Invocation logs as training data: what becomes a record, and what the filters let through."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from outcrop.batch.refused import Refused
from outcrop.customization.logs import check, fits, records
from outcrop.errors import ValidationException
from outcrop.settings import HOUSE_MODEL
from tests.customization.customizing import Customizing, outcrop

CONVERSE = {
    "operation": "Converse",
    "requestMetadata": {"team": "a", "kind": "question"},
    "input": {
        "inputBodyJson": {
            "system": [{"text": "Be brief."}],
            "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
        }
    },
    "output": {"outputBodyJson": {"output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}}}},
}
INVOKE = {
    "operation": "InvokeModel",
    "input": {"inputBodyJson": {"system": "Be kind.", "messages": [{"role": "user", "content": "Hi"}]}},
    "output": {"outputBodyJson": {"content": [{"type": "text", "text": "Hello"}]}},
}
STREAM = {
    "operation": "ConverseStream",
    "input": CONVERSE["input"],
    "output": {
        "outputBodyJson": [
            {"messageStart": {"role": "assistant"}},
            {"contentBlockDelta": {"delta": {"text": "Hel"}}},
            {"contentBlockDelta": {"delta": {"text": "lo"}}},
        ]
    },
}


def made(*entries: Any, **filters: Any) -> list[dict[str, Any]]:
    body = gzip.compress("\n".join(json.dumps(entry) for entry in entries).encode())
    config = {"usePromptResponse": True, **({"requestMetadataFilters": filters} if filters else {})}
    return [json.loads(line) for line in records(body, "s3://b/x.json.gz", config)]


@pytest.mark.parametrize("entry", [CONVERSE, INVOKE, STREAM])
def test_a_conversation_becomes_a_record(entry: Any) -> None:
    (record,) = made(entry)
    assert record["schemaVersion"] == "bedrock-conversation-2024"
    assert record["messages"] == [
        {"role": "user", "content": [{"text": "Hi"}]},
        {"role": "assistant", "content": [{"text": "Hello"}]},
    ]
    assert record["system"] == [{"text": "Be kind." if entry is INVOKE else "Be brief."}]


@pytest.mark.parametrize(
    "entry",
    [
        {**CONVERSE, "errorCode": "ThrottlingException"},
        {**CONVERSE, "output": {"outputBodyS3Path": "s3://b/large"}},
        {**CONVERSE, "input": {"inputBodyS3Path": "s3://b/large"}},
        {"operation": "InvokeModel", "input": {"inputBodyJson": {"inputText": "x"}}, "output": {"outputBodyJson": {}}},
        {"operation": "Converse"},
        "text",
        7,
    ],
)
def test_what_is_no_conversation_is_passed_over(entry: Any) -> None:
    assert made(entry) == []


@pytest.mark.parametrize(
    ("filters", "fit"),
    [
        ({"equals": {"team": "a"}}, True),
        ({"equals": {"team": "b"}}, False),
        ({"equals": {"other": "a"}}, False),
        ({"notEquals": {"team": "b"}}, True),
        ({"notEquals": {"team": "a"}}, False),
        ({"andAll": [{"equals": {"team": "a"}}, {"notEquals": {"kind": "other"}}]}, True),
        ({"andAll": [{"equals": {"team": "a"}}, {"equals": {"kind": "other"}}]}, False),
        ({"orAll": [{"equals": {"team": "b"}}, {"equals": {"kind": "question"}}]}, True),
        ({"orAll": [{"equals": {"team": "b"}}, {"equals": {"kind": "other"}}]}, False),
    ],
)
def test_filters(filters: Any, fit: bool) -> None:
    assert fits({"team": "a", "kind": "question"}, filters) is fit
    assert len(made(CONVERSE, **filters)) == fit


def test_one_filter_of_sixteen_at_most() -> None:
    config: dict[str, Any] = {"usePromptResponse": True, "invocationLogSource": {"s3Uri": "s3://b/l"}}
    check(config)
    too_much: Any
    for too_much in ({"equals": {}, "notEquals": {}}, {"andAll": [{"equals": {}}] * 17}):
        with pytest.raises(ValidationException):
            check({**config, "requestMetadataFilters": too_much})


def test_prompts_alone_are_for_a_teacher() -> None:
    lines = list(records(json.dumps(CONVERSE).encode(), "s3://b/x.json", {"usePromptResponse": False}))
    assert [message["role"] for message in json.loads(lines[0])["messages"]] == ["user"]


def test_what_is_no_log_is_refused() -> None:
    with pytest.raises(Refused, match="does not hold invocation logs"):
        list(records(b"not gzip", "s3://b/x.json.gz", {}))
    with pytest.raises(Refused, match="does not hold invocation logs"):
        list(records(b"not json", "s3://b/x.json", {}))


def test_a_job_trains_on_what_was_asked_and_answered(customizing: Customizing) -> None:
    """From conversations with a model, by way of its logs, to another."""
    bucket = customizing.bucket
    customizing.bedrock.put_model_invocation_logging_configuration(
        loggingConfig={"s3Config": {"bucketName": bucket, "keyPrefix": "logs"}, "textDataDeliveryEnabled": True}
    )
    for kind in ("wanted", "wanted", "other"):
        customizing.runtime.converse(
            modelId=HOUSE_MODEL,
            messages=[{"role": "user", "content": [{"text": "Hello!"}]}],
            requestMetadata={"kind": kind},
            inferenceConfig={"maxTokens": 8},
        )
    customizing._until(
        lambda: {"keys": customizing.keys("logs/")}, lambda seen: any(key.endswith(".gz") for key in seen["keys"]), 60
    )
    customizing.bedrock.delete_model_invocation_logging_configuration()

    def job(kind: str) -> dict[str, Any]:
        config = {
            "usePromptResponse": True,
            "invocationLogSource": {"s3Uri": f"s3://{bucket}/logs/"},
            "requestMetadataFilters": {"equals": {"kind": kind}},
        }
        request = customizing.request("s3://unused/x.jsonl", trainingDataConfig={"invocationLogsConfig": config})
        return customizing.until(customizing.bedrock.create_model_customization_job(**request)["jobArn"])

    done = job("wanted")
    assert done["status"] == "Completed", done.get("failureMessage")
    assert "2 records" in outcrop(customizing.server, "jobs", "show", done["jobName"])["lines"]
    none = job("nobody")
    assert (none["status"], "fit the filters" in none["failureMessage"]) == ("Failed", True)
