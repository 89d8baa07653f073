"""What becomes of a record whose answer is refused, fails, or has to wait."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from outcrop.batch import asking
from tests.batch.batches import MODEL, Batches, converse, messages, said, settings
from tests.batch.inside import Inside


def test_an_engine_that_turns_requests_away_is_asked_less(batches: Batches) -> None:
    """One place and no queue: whoever comes second is turned away, and tried again until there is room."""
    source = batches.put(f"{batches.folder()}/in.jsonl", [{"modelInput": messages(f"n {n}")} for n in range(12)])
    arn = batches.create(source, modelId="test.narrow-v1:0")
    job = batches.until(arn)
    assert (job["status"], job["successRecordCount"]) == ("Completed", 12)
    assert [said(line) for line in batches.read(arn, "in.jsonl.out")] == [f"n {n}" for n in range(12)]


def test_interactive_requests_go_first(batches: Batches) -> None:
    """Sixty slow records keep all places taken; who asks in between is answered long before the job ends."""
    source = batches.put(f"{batches.folder()}/in.jsonl", [{"modelInput": messages(f"slowly {n}")} for n in range(60)])
    arn = batches.create(source)
    batches.until(arn, "InProgress")
    for n in range(4):
        answer = batches.runtime.converse(modelId=MODEL, **converse(f"quick {n}"))
        assert answer["output"]["message"]["content"][0]["text"] == f"quick {n}"
    assert batches.get(arn)["status"] == "InProgress"
    assert batches.until(arn)["successRecordCount"] == 60


def test_what_may_pass_is_tried_again_and_told_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "FIRST_PAUSE_SECONDS", 0.001)
    script = tmp_path / "failing.json"
    script.write_text(
        json.dumps({"rules": [{"contains": "fail", "error": {"kind": "failed", "message": "Out of order."}}]})
    )
    more = f'[[models]]\nid = "test.failing-v1:0"\nengine = "scripted"\nscript = "{script}"\n'
    inside = Inside(tmp_path, settings(tmp_path).replace("[aliases]", more + "[aliases]"))
    arn = inside.create(inside.put("in.jsonl", messages("fail"), messages("go")), modelId="test.failing-v1:0")
    with inside.serving():
        job = inside.until(arn, "Completed")
    assert (job["successRecordCount"], job["errorRecordCount"]) == (1, 1)
    failed, fine = inside.read(arn, "in.jsonl.out")
    assert failed["error"] == {"errorCode": 424, "errorMessage": "Out of order."}
    assert "modelOutput" in fine


def test_a_record_that_no_quota_will_ever_allow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others are answered while it is turned away: it is told so, instead of holding up the job for a day."""
    monkeypatch.setattr(asking, "HOPELESS_SECONDS", 0.2)
    monkeypatch.setattr(asking, "LONGEST_PAUSE_SECONDS", 0.1)
    quota = f'\n[[quotas]]\nmodel = "{MODEL}"\ntokens_per_minute = 200\n'
    inside = Inside(tmp_path, settings(tmp_path) + quota)
    greedy, modest = converse("Hi", maxTokens=500), [converse(f"slowly {n}", maxTokens=2) for n in range(8)]
    arn = inside.create(inside.put("in.jsonl", greedy, *modest), modelInvocationType="Converse")
    with inside.serving():
        job = inside.until(arn, "Completed")
    assert (job["successRecordCount"], job["errorRecordCount"]) == (8, 1)
    refused = inside.read(arn, "in.jsonl.out")[0]
    assert refused["error"] == {
        "errorCode": 429, "errorMessage": "Too many tokens, please wait before trying again.",
    }  # fmt: skip


def test_an_id_is_the_same_whenever_it_is_made() -> None:
    made = asking.record_id("abcdefghijkl", "in.jsonl 1")
    assert made == asking.record_id("abcdefghijkl", "in.jsonl 1")
    others = {asking.record_id(job, place) for job in ("a", "b") for place in ("in 1", "in 2", "in 11", "i n1")}
    assert len(others) == 8
    assert len(made) == 11
