"""ListModelInvocationJobs: filters, order and pages. Tags of jobs."""

from __future__ import annotations

from datetime import timedelta

import pytest
from botocore.exceptions import ClientError

from tests.batch.batches import Batches, connect, messages
from tests.objects.clients import another_account


@pytest.fixture(scope="module")
def own(batches: Batches) -> tuple[Batches, list[str]]:
    """An account of its own with six jobs: every second one fails."""
    mine = connect(batches.server, key=another_account(batches.server.home))
    mine.s3.create_bucket(Bucket="lists")
    mine = connect(batches.server, "lists", key=_Key(mine))
    good = mine.put("good.jsonl", [{"modelInput": messages("Hi")}])
    bad = mine.put("bad.jsonl", ["nonsense"])
    arns = [
        mine.create(bad if n % 2 else good, jobName=f"job-{'odd' if n % 2 else 'even'}-{n}", clientRequestToken=f"t{n}")
        for n in range(6)
    ]
    for arn in arns:
        mine.until(arn)
    return mine, arns


class _Key:
    """The key that a client has."""

    def __init__(self, batches: Batches) -> None:
        credentials = batches.s3._request_signer._credentials
        self.id, self.secret = credentials.access_key, credentials.secret_key


def listed(batches: Batches, **filters: object) -> list[str]:
    found = batches.bedrock.list_model_invocation_jobs(**filters)["invocationJobSummaries"]
    return [summary["jobArn"] for summary in found]


def test_the_newest_first_or_last(own: tuple[Batches, list[str]]) -> None:
    batches, arns = own
    assert sorted(listed(batches)) == sorted(arns)
    descending = listed(batches, sortBy="CreationTime", sortOrder="Descending")
    assert listed(batches, sortOrder="Ascending") == descending[::-1]
    assert descending == listed(batches)
    times = [job["submitTime"] for job in batches.bedrock.list_model_invocation_jobs()["invocationJobSummaries"]]
    assert times == sorted(times, reverse=True)


def test_filters(own: tuple[Batches, list[str]]) -> None:
    batches, arns = own
    assert sorted(listed(batches, nameContains="odd")) == sorted(arns[1::2])
    assert sorted(listed(batches, statusEquals="Completed")) == sorted(arns[::2])
    assert sorted(listed(batches, statusEquals="Failed")) == sorted(arns[1::2])
    for status in (
        "Submitted",
        "Validating",
        "Scheduled",
        "InProgress",
        "Stopping",
        "Stopped",
        "PartiallyCompleted",
        "Expired",
    ):
        assert listed(batches, statusEquals=status) == []
    submitted = {arn: batches.get(arn)["submitTime"] for arn in arns}
    edge = sorted(submitted.values())[3]
    later = timedelta(milliseconds=1)
    assert set(listed(batches, submitTimeAfter=edge)) == {arn for arn, at in submitted.items() if at >= edge}
    assert set(listed(batches, submitTimeBefore=edge - later)) == {arn for arn, at in submitted.items() if at < edge}


@pytest.mark.parametrize(
    "filters", [{}, {"statusEquals": "Completed"}, {"nameContains": "odd", "sortOrder": "Ascending"}]
)
def test_pages(own: tuple[Batches, list[str]], filters: dict[str, str]) -> None:
    batches, _ = own
    pages = list(
        batches.bedrock.get_paginator("list_model_invocation_jobs").paginate(
            **filters, PaginationConfig={"PageSize": 2}
        )
    )
    found = [summary["jobArn"] for page in pages for summary in page["invocationJobSummaries"]]
    assert found == listed(batches, **filters)
    assert all(len(page["invocationJobSummaries"]) <= 2 for page in pages)
    token = pages[0]["nextToken"]
    with pytest.raises(ClientError, match="nextToken is invalid"):
        listed(batches, **{**filters, "statusEquals": "Failed"}, nextToken=token)


def test_a_summary_says_what_get_says(own: tuple[Batches, list[str]]) -> None:
    batches, arns = own
    summaries = {job["jobArn"]: job for job in batches.bedrock.list_model_invocation_jobs()["invocationJobSummaries"]}
    for arn in arns:
        whole = batches.get(arn)
        del whole["ResponseMetadata"]
        assert summaries[arn] == whole


def test_tags(batches: Batches) -> None:
    source = batches.put(f"{batches.folder()}/in.jsonl", [{"modelInput": messages("Hi")}])
    arn = batches.create(source, tags=[{"key": "team", "value": "blue"}])
    assert batches.bedrock.list_tags_for_resource(resourceARN=arn)["tags"] == [{"key": "team", "value": "blue"}]
    batches.bedrock.tag_resource(resourceARN=arn, tags=[{"key": "more", "value": "1"}])
    batches.bedrock.untag_resource(resourceARN=arn, tagKeys=["team"])
    assert batches.bedrock.list_tags_for_resource(resourceARN=arn)["tags"] == [{"key": "more", "value": "1"}]
    unknown = arn[:-1] + ("a" if arn[-1] != "a" else "b")
    with pytest.raises(ClientError) as caught:
        batches.bedrock.list_tags_for_resource(resourceARN=unknown)
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"
