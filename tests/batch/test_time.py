"""Stopping, and what becomes of a job whose time is over."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from outcrop.batch import answering, operations
from outcrop.errors import ConflictException
from tests.batch.batches import Batches, messages, said, settings
from tests.batch.inside import Inside


@pytest.fixture
def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Inside]:
    monkeypatch.setattr(answering, "PART_SECONDS", 0.1)
    made = Inside(tmp_path, settings(tmp_path))
    yield made
    made.parts.database.close()


def test_a_stopped_job_keeps_what_was_answered(batches: Batches) -> None:
    texts = ["one", "for ever", "two", "for ever", "three", *["for ever"] * 8]
    source = batches.put(f"{batches.folder()}/in.jsonl", [{"modelInput": messages(text)} for text in texts])
    arn = batches.create(source)
    # What stands in front of the first that does not end is written down while the job runs.
    deadline = time.monotonic() + 60
    while batches.until(arn, "InProgress", "Validating", "Scheduled", "Submitted").get("processedRecordCount", 0) < 1:
        assert time.monotonic() < deadline
    assert batches.bedrock.stop_model_invocation_job(jobIdentifier=arn)["ResponseMetadata"]["HTTPStatusCode"] == 200
    job = batches.until(arn)
    assert (job["status"], job["totalRecordCount"], job["errorRecordCount"]) == ("Stopped", 13, 0)
    lines = batches.read(arn, "in.jsonl.out")
    assert [said(line) for line in lines] == ["one", "two", "three"]
    assert batches.manifest(arn)["processedRecordCount"] == job["processedRecordCount"] == 3
    assert batches.keys(arn) == ["in.jsonl.out", "manifest.json.out"]
    with pytest.raises(ClientError) as caught:
        batches.bedrock.stop_model_invocation_job(jobIdentifier=arn)
    assert caught.value.response["Error"]["Code"] == "ConflictException"
    assert "its status is Stopped" in caught.value.response["Error"]["Message"]


def test_a_job_that_has_ended_is_not_stopped(batches: Batches) -> None:
    arn = batches.create(batches.put(f"{batches.folder()}/in.jsonl", [{"modelInput": messages("Hi")}]))
    batches.until(arn)
    with pytest.raises(ClientError, match="its status is Completed"):
        batches.bedrock.stop_model_invocation_job(jobIdentifier=arn)


def test_a_job_that_never_began_stops_at_once(inside: Inside) -> None:
    arn = inside.create(inside.put("in.jsonl", messages("Hi")))
    assert inside.get(arn)["status"] == "Submitted"
    operations.stop_model_invocation_job(inside.ctx, {"jobIdentifier": arn})
    assert inside.get(arn)["status"] == "Stopped"
    assert inside.keys(arn) == []


def test_a_job_whose_time_is_over_has_answered_a_part(inside: Inside) -> None:
    arn = inside.create(
        inside.put("in.jsonl", messages("one"), messages("two"), messages("for ever"), messages("three"))
    )
    with inside.serving():
        inside.until(arn, "InProgress", processed=2)
        inside.later = timedelta(hours=23, minutes=59)
        time.sleep(0.5)
        assert inside.get(arn)["status"] == "InProgress"
        inside.later = timedelta(hours=24, minutes=1)
        job = inside.until(arn, "PartiallyCompleted")
    assert (job["processedRecordCount"], job["totalRecordCount"]) == (3, 4)
    assert [line["recordId"] for line in inside.read(arn, "in.jsonl.out")] == ["R0", "R1", "R3"]
    assert inside.read(arn, "manifest.json.out")[0]["processedRecordCount"] == 3
    with pytest.raises(ConflictException, match="PartiallyCompleted"):
        operations.stop_model_invocation_job(inside.ctx, {"jobIdentifier": arn})


def test_a_job_that_waited_for_too_long_has_expired(inside: Inside) -> None:
    arn = inside.create(inside.put("in.jsonl", messages("one")), timeoutDurationInHours=30)
    inside.later = timedelta(hours=29)
    assert inside.get(arn)["status"] == "Submitted"
    inside.later = timedelta(hours=31)
    assert inside.get(arn)["status"] == "Expired"
    listed = operations.list_model_invocation_jobs(inside.ctx, {"statusEquals": "Expired"})
    assert [job["jobArn"] for job in listed["invocationJobSummaries"]] == [arn]
    with pytest.raises(ConflictException, match="Expired"):
        operations.stop_model_invocation_job(inside.ctx, {"jobIdentifier": arn})
    with inside.serving():
        deadline = time.monotonic() + 60
        while "endTime" not in inside.get(arn):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    job = inside.get(arn)
    assert (job["status"], job["message"]) == ("Expired", "The job expired before it could start.")
    assert inside.keys(arn) == []
