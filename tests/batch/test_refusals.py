"""What a batch job is refused for at once, and what it fails with."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.batch.batches import Batches, connect, messages
from tests.objects.clients import another_account, limited_user

GOOD = {"recordId": "A", "modelInput": messages("Hi")}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{not json}", "The line is not valid JSON: "),
        ("[1, 2]", "The line is not a JSON object."),
        ({"recordId": "B"}, "The record has no modelInput."),
        ({"recordId": "B", "modelInput": "Hi"}, "The modelInput is not a JSON object."),
        ({"recordId": 7, "modelInput": {}}, "The recordId is not a string of 1 to 256 characters."),
        ({"recordId": "", "modelInput": {}}, "The recordId is not a string of 1 to 256 characters."),
        ('{"recordId": "B", "modelInput": {}} {}', "The line is not valid JSON: "),
    ],
    ids=["json", "object", "no-input", "input", "number-id", "empty-id", "two"],
)
def test_a_line_that_is_no_record_fails_the_job_with_its_place(batches: Batches, line: Any, problem: str) -> None:
    source = batches.put(f"{batches.folder()}/in.jsonl", [GOOD, "", line, GOOD])
    arn = batches.create(source)
    job = batches.until(arn)
    assert job["status"] == "Failed"
    assert job["message"].startswith(f"{source} line 3: {problem}"), job
    assert batches.keys(arn) == []
    assert "totalRecordCount" not in job


def test_bytes_that_are_no_utf8(batches: Batches) -> None:
    key = f"{batches.folder()}/in.jsonl"
    batches.s3.put_object(Bucket=batches.bucket, Key=key, Body=b'{"recordId": "\xff", "modelInput": {}}\n')
    job = batches.until(batches.create(f"s3://{batches.bucket}/{key}"))
    assert (job["status"], "line 1: The line is not valid JSON" in job["message"]) == ("Failed", True)


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("s3://batches/nowhere/", "No input was found"),
        ("s3://batches/nowhere.jsonl", "No input was found"),
        ("s3://no-such-bucket-at-all/in.jsonl", "The specified bucket does not exist"),
    ],
)
def test_input_that_is_not_there(batches: Batches, source: str, problem: str) -> None:
    job = batches.until(batches.create(source))
    assert job["status"] == "Failed"
    assert problem in job["message"]


def test_output_that_cannot_be_written(batches: Batches) -> None:
    source = batches.put(f"{batches.folder()}/in.jsonl", [GOOD])
    place = {"s3OutputDataConfig": {"s3Uri": "s3://no-such-bucket-at-all/out"}}
    job = batches.until(batches.create(source, outputDataConfig=place))
    assert (job["status"], "The specified bucket does not exist" in job["message"]) == ("Failed", True)


def test_too_few_records(batches: Batches) -> None:
    arn = batches.create(batches.put(f"{batches.folder()}/in.jsonl", ["", " "]))
    job = batches.until(arn)
    assert job["message"] == f"Batch job {arn} contains less records (0) than the required minimum of: 1"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"modelId": "imported"}, "The provided model identifier is invalid."),
        ({"modelId": "arn:aws:bedrock:us-east-1:111122223333:provisioned-model/abcdefghijkl"}, "modelId"),
        ({"modelId": "arn:aws:bedrock:us-east-1:111122223333:imported-model/abcdefghijkl"}, "modelId"),
        ({"modelId": "test.rerank-v1:0", "modelInvocationType": "Chat"}, "Converse"),
        ({"timeoutDurationInHours": 23}, "greater than or equal to 24"),
        ({"timeoutDurationInHours": 169}, "less than or equal to 168"),
        ({"vpcConfig": {"subnetIds": ["a"], "securityGroupIds": ["b"]}}, "vpcConfig is not built"),
        ({"tags": [{"key": "aws:x", "value": ""}]}, "aws: prefixed tag key names"),
        ({"jobName": "-"}, "jobName"),
        ({"roleArn": "admin"}, "roleArn"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_refused_at_once(batches: Batches, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ClientError) as caught:
        batches.create("s3://batches/in.jsonl", **change)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert words in caught.value.response["Error"]["Message"]


@pytest.mark.parametrize("which", ["inputDataConfig", "outputDataConfig"])
def test_somebody_elses_bucket_and_keys(batches: Batches, which: str) -> None:
    inner = {"inputDataConfig": "s3InputDataConfig", "outputDataConfig": "s3OutputDataConfig"}[which]
    place = {"s3Uri": "s3://batches/x", "s3BucketOwner": "999999999999"}
    with pytest.raises(ClientError, match="does not belong to the account 999999999999"):
        batches.create("s3://batches/in.jsonl", **{which: {inner: place}})


def test_a_key_of_kms(batches: Batches) -> None:
    place = {"s3Uri": "s3://batches/x", "s3EncryptionKeyId": "alias/mine"}
    with pytest.raises(ClientError, match="alias/mine does not exist or cannot be used"):
        batches.create("s3://batches/in.jsonl", outputDataConfig={"s3OutputDataConfig": place})


def test_a_token_makes_one_job(batches: Batches) -> None:
    request = batches.request(batches.put(f"{batches.folder()}/in.jsonl", [GOOD]))
    first = batches.bedrock.create_model_invocation_job(**request, clientRequestToken="once")["jobArn"]
    again = batches.bedrock.create_model_invocation_job(**request, clientRequestToken="once")["jobArn"]
    assert first == again
    with pytest.raises(ClientError) as caught:
        batches.bedrock.create_model_invocation_job(**{**request, "jobName": "other"}, clientRequestToken="once")
    assert caught.value.response["Error"]["Code"] == "ConflictException"
    other = batches.bedrock.create_model_invocation_job(**request, clientRequestToken="twice")["jobArn"]
    assert other != first
    batches.until(other)


def test_jobs_that_are_not_there_or_are_not_ones_own(batches: Batches) -> None:
    arn = batches.create(batches.put(f"{batches.folder()}/in.jsonl", [GOOD]), jobName="abcdefghijkl")
    batches.until(arn)
    stranger = connect(batches.server, key=another_account(batches.server.home))
    for asking, name, code in (
        (stranger, arn, "AccessDeniedException"),
        (stranger, arn.rpartition("/")[2], "ResourceNotFoundException"),
        (batches, "abcdefghijkl", "ResourceNotFoundException"),
        (batches, arn.replace("us-east-1", "us-west-2"), "ResourceNotFoundException"),
    ):
        for operation in ("get_model_invocation_job", "stop_model_invocation_job"):
            with pytest.raises(ClientError) as caught:
                getattr(asking.bedrock, operation)(jobIdentifier=name)
            assert caught.value.response["Error"]["Code"] == code
    assert stranger.bedrock.list_model_invocation_jobs()["invocationJobSummaries"] == []


def test_another_accounts_bucket_is_no_input(batches: Batches) -> None:
    source = batches.put(f"{batches.folder()}/in.jsonl", [GOOD])
    stranger = connect(batches.server, key=another_account(batches.server.home))
    job = stranger.until(stranger.create(source))
    assert (job["status"], "Access Denied" in job["message"]) == ("Failed", True)


def test_who_may_not_read_may_not_have_it_read(batches: Batches) -> None:
    """A role that this server does not have is only a name: the caller's own rights are what counts."""
    folder = batches.folder()
    source = batches.put(f"{folder}/open/in.jsonl", [GOOD])
    hidden = batches.put(f"{folder}/hidden/in.jsonl", [GOOD])
    key = limited_user(
        batches.server.home,
        f"user-{folder}",
        {"Effect": "Allow", "Action": ["bedrock:*", "iam:PassRole"], "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{batches.bucket}/{folder}/open/*"},
        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{batches.bucket}/out/*"},
    )
    limited = connect(batches.server, key=key)
    assert limited.until(limited.create(source))["status"] == "Completed"
    for uri, action in ((hidden, "s3:GetObject"), (f"s3://{batches.bucket}/{folder}/open/", "s3:ListBucket")):
        job = limited.until(limited.create(uri))
        assert (job["status"], f"not authorized to perform: {action}" in job["message"]) == ("Failed", True), job
    place = {"s3OutputDataConfig": {"s3Uri": f"s3://{batches.bucket}/else"}}
    job = limited.until(limited.create(source, outputDataConfig=place))
    assert "not authorized to perform: s3:PutObject" in job["message"]


def test_messages_are_json_of_their_own(batches: Batches) -> None:
    """A job that fails leaves the server alone: the next one runs."""
    bad = batches.create(batches.put(f"{batches.folder()}/in.jsonl", ["nonsense"]))
    good = batches.create(batches.put(f"{batches.folder()}/in.jsonl", [json.dumps(GOOD)]))
    assert (batches.until(bad)["status"], batches.until(good)["status"]) == ("Failed", "Completed")
