"""StartAsyncInvoke, GetAsyncInvoke, ListAsyncInvokes over HTTP."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.batch.batches import MODEL, Batches, connect, id_of, messages
from tests.objects.clients import another_account, limited_user


def start(batches: Batches, body: Any, model: str = MODEL, **more: Any) -> str:
    place = {"s3OutputDataConfig": {"s3Uri": f"s3://{batches.bucket}/later"}}
    given = {"modelId": model, "modelInput": body, "outputDataConfig": place, **more}
    return str(batches.runtime.start_async_invoke(**given)["invocationArn"])


def ended(batches: Batches, arn: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = dict(batches.runtime.get_async_invoke(invocationArn=arn))
        if found["status"] != "InProgress":
            return found
        time.sleep(0.05)
    raise AssertionError(found)


def read(batches: Batches, arn: str, name: str) -> Any:
    key = f"later/{id_of(arn)}/{name}"
    return json.loads(batches.s3.get_object(Bucket=batches.bucket, Key=key)["Body"].read())


def keys(batches: Batches, prefix: str) -> list[str]:
    listed = batches.s3.list_objects_v2(Bucket=batches.bucket, Prefix=prefix).get("Contents", [])
    return [entry["Key"].removeprefix(prefix) for entry in listed]


def test_a_text_comes_later(batches: Batches) -> None:
    arn = start(batches, messages("slowly now"), clientRequestToken="a-token!", tags=[{"key": "a", "value": "b"}])
    first = batches.runtime.get_async_invoke(invocationArn=arn)
    assert first["status"] == "InProgress"
    found = ended(batches, arn)
    assert found["status"] == "Completed", found
    assert found["modelArn"] == f"arn:aws:bedrock:us-east-1::foundation-model/{MODEL}"
    assert found["clientRequestToken"] == "a-token!"
    assert found["outputDataConfig"] == {"s3OutputDataConfig": {"s3Uri": f"s3://{batches.bucket}/later"}}
    assert found["submitTime"] <= found["lastModifiedTime"] <= found["endTime"]
    assert "failureMessage" not in found
    assert keys(batches, f"later/{id_of(arn)}/") == ["manifest.json", "output.json"]
    assert read(batches, arn, "output.json")["content"] == [{"type": "text", "text": "slowly now"}]
    assert read(batches, arn, "manifest.json")["invocationArn"] == arn
    assert batches.bedrock.list_tags_for_resource(resourceARN=arn)["tags"] == [{"key": "a", "value": "b"}]


def test_an_embedding(batches: Batches) -> None:
    arn = start(batches, {"inputText": "Hi there", "dimensions": 256}, "amazon.titan-embed-text-v2:0")
    found = ended(batches, arn)
    if found["status"] == "Completed":
        assert read(batches, arn, "output.json")["embedding"]
    else:
        assert found["failureMessage"]
    plain = start(batches, {"input_type": "search_query", "texts": ["Hi"]}, "cohere.embed-english-v3")
    assert ended(batches, plain)["status"] == "Completed"
    assert len(read(batches, plain, "output.json")["embeddings"][0]) == 64


def test_a_body_that_is_refused_fails_with_the_models_words(batches: Batches) -> None:
    for body, words in ((messages("refuse me"), "I do not like that."), ({"max_tokens": 1}, "Malformed input request")):
        found = ended(batches, start(batches, body))
        assert found["status"] == "Failed"
        assert words in found["failureMessage"]
    assert keys(batches, f"later/{id_of(found['invocationArn'])}/") == []


def test_a_token_starts_one(batches: Batches) -> None:
    before = len(keys(batches, "later/"))
    first = start(batches, messages("Hi"), clientRequestToken="again")
    ended(batches, first)
    assert start(batches, messages("Hi"), clientRequestToken="again") == first
    with pytest.raises(ClientError) as caught:
        start(batches, messages("Ho"), clientRequestToken="again")
    assert caught.value.response["Error"]["Code"] == "ConflictException"
    assert len(keys(batches, "later/")) == before + 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"modelId": "nobody.nothing-v1"}, "The provided model identifier is invalid."),
        ({"modelId": "test.rerank-v1:0"}, "doesn't support asynchronous invocation"),
        ({"outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://not-there-at-all/x"}}}, "bucket does not exist"),
        ({"outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://batches/x", "bucketOwner": "9" * 12}}}, "belong"),
        (
            {"outputDataConfig": {"s3OutputDataConfig": {
                "s3Uri": "s3://batches/x", "kmsKeyId": "arn:aws:kms:us-east-1:ACCOUNT:alias/mine"}}},
            "alias/mine does not exist or cannot be used.",
        ),
    ],
)  # fmt: skip
def test_what_is_refused(batches: Batches, change: dict[str, Any], words: str) -> None:
    place = {"s3OutputDataConfig": {"s3Uri": f"s3://{batches.bucket}/later"}}
    given = {"modelId": MODEL, "modelInput": messages("Hi"), "outputDataConfig": place, **change}
    given = json.loads(json.dumps(given).replace("ACCOUNT", batches.s3.list_buckets()["Owner"]["ID"]))
    with pytest.raises(ClientError) as caught:
        batches.runtime.start_async_invoke(**given)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert words in caught.value.response["Error"]["Message"]


def test_the_rights_of_the_caller(batches: Batches) -> None:
    allowed = {"Effect": "Allow", "Action": "bedrock:*", "Resource": "*"}
    key = limited_user(batches.server.home, f"later-{batches.folder()}", allowed)
    with pytest.raises(ClientError) as caught:
        start(connect(batches.server, key=key), messages("Hi"))
    assert caught.value.response["Error"]["Code"] == "AccessDeniedException"
    assert "s3:PutObject" in caught.value.response["Error"]["Message"]


def test_lists(batches: Batches) -> None:
    key = another_account(batches.server.home)
    own = connect(batches.server, key=key)
    own.s3.create_bucket(Bucket="later-lists")
    own = connect(batches.server, "later-lists", key=key)
    arns = [start(own, messages(text)) for text in ("one", "refuse me", "two")]
    for arn in arns:
        ended(own, arn)

    def listed(**filters: Any) -> list[str]:
        pages = own.runtime.get_paginator("list_async_invokes").paginate(**filters, PaginationConfig={"PageSize": 2})
        return [one["invocationArn"] for page in pages for one in page["asyncInvokeSummaries"]]

    assert sorted(listed()) == sorted(arns)
    assert listed(sortOrder="Ascending", sortBy="SubmissionTime") == listed()[::-1]
    assert listed(statusEquals="Failed") == [arns[1]]
    assert sorted(listed(statusEquals="Completed")) == sorted([arns[0], arns[2]])
    assert listed(statusEquals="InProgress") == []
    edge = own.runtime.get_async_invoke(invocationArn=arns[2])["submitTime"]
    assert arns[2] in listed(submitTimeAfter=edge)
    assert batches.bucket == "batches"
    with pytest.raises(ClientError, match="could not be found"):
        own.runtime.get_async_invoke(invocationArn=arns[0][:-12] + "a" * 12)
    unfiltered = own.runtime.list_async_invokes(maxResults=3)["asyncInvokeSummaries"]
    whole = own.runtime.get_async_invoke(invocationArn=unfiltered[0]["invocationArn"])
    assert {**whole, "ResponseMetadata": None} == {**unfiltered[0], "ResponseMetadata": None}
