"""A batch job whose server is killed, again and again, answers as one that was left alone."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from outcrop.jobs import queue
from outcrop.objects.objects import walk
from tests.batch.batches import messages, said, settings
from tests.batch.inside import BUCKET, Inside

SERVER = """
import sys, time
from pathlib import Path
from outcrop.batch import answering
from tests.batch.inside import Inside
answering.PART_SECONDS = 0.02
with Inside(Path(sys.argv[1])).serving():
    time.sleep(600)
"""
FILES, RECORDS, KILLS = 4, 60, 8


@contextlib.contextmanager
def another_server(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that runs the folder's jobs. It is killed at the end."""
    with subprocess.Popen([sys.executable, "-c", SERVER, str(folder)]) as server:
        try:
            yield server
        finally:
            os.kill(server.pid, signal.SIGKILL)


def test_killed_in_the_middle_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    chance = random.Random(7)
    text = settings(tmp_path).replace('"slowly"', '"never"')
    (tmp_path / "script.json").write_text(
        '{"rules": [{"contains": "refuse", "error": {"kind": "invalid", "message": "No."}}, {"matches": ".", "first_delay_ms": 60}]}'
    )
    inside = Inside(tmp_path, text)
    for file in range(FILES):
        inputs = [messages("refuse" if n % 10 == 3 else f"file {file} record {n}") for n in range(RECORDS)]
        inside.put(f"in/{file}.jsonl", *inputs)
    arn = inside.create(f"s3://{BUCKET}/in")
    job = queue.called(inside.parts.database, arn.rpartition("/")[2])[0]
    killed_at = []
    for _ in range(KILLS):
        before = inside.get(arn).get("processedRecordCount", 0)
        with another_server(tmp_path) as server:
            deadline = time.monotonic() + 60
            while inside.get(arn).get("processedRecordCount", 0) <= before:
                assert time.monotonic() < deadline
                assert server.poll() is None
                time.sleep(0.005)
            time.sleep(chance.uniform(0, 0.15))
        killed_at.append(inside.get(arn).get("processedRecordCount", 0))
    assert inside.get(arn)["status"] == "InProgress", killed_at
    assert killed_at == sorted(set(killed_at))
    with inside.serving():
        done = inside.until(arn, "Completed")
    assert queue.called(inside.parts.database, job.id)[0].fence > KILLS
    counts = (done["totalRecordCount"], done["successRecordCount"], done["errorRecordCount"])
    assert counts == (FILES * RECORDS, FILES * RECORDS * 9 // 10, FILES * RECORDS // 10)
    for file in range(FILES):
        lines = inside.read(arn, f"{file}.jsonl.out")
        assert [line["recordId"] for line in lines] == [f"R{n}" for n in range(RECORDS)]
        for n, line in enumerate(lines):
            if n % 10 == 3:
                assert line["error"] == {"errorCode": 400, "errorMessage": "No."}
            else:
                assert said(line) == f"file {file} record {n}"
    manifest = inside.read(arn, "manifest.json.out")[0]
    assert manifest["outputTokenCount"] == FILES * RECORDS * 9 // 10 * 4
    assert inside.keys(arn) == [*(f"{file}.jsonl.out" for file in range(FILES)), "manifest.json.out"]
    assert [stored.key for stored in walk(inside.ctx.objects, f"s3://{BUCKET}/out/") if ".parts" in stored.key] == []


def test_of_two_servers_one_goes_on_with_the_jobs_of_the_other(tmp_path: Path) -> None:
    """They share database and objects. Both have jobs; one is killed; all jobs end, each record answered once."""
    inside = Inside(tmp_path, settings(tmp_path).replace("concurrency = 4", "concurrency = 1", 1))
    source = inside.put("in.jsonl", *[messages(f"slowly {n}") for n in range(12)])
    with another_server(tmp_path) as one, another_server(tmp_path):
        # More than one server takes at a time.
        arns = [inside.create(source, jobName=f"job-{n}") for n in range(6)]
        job_ids = [arn.rpartition("/")[2] for arn in arns]

        def holders() -> set[str]:
            held = [queue.called(inside.parts.database, job_id)[0].holder for job_id in job_ids]
            return {holder.rpartition(":")[2] for holder in held if holder}

        deadline = time.monotonic() + 60
        while len(holders()) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(one.pid, signal.SIGKILL)
        for arn in arns:
            done = inside.until(arn, "Completed")
            assert (done["successRecordCount"], done["errorRecordCount"]) == (12, 0)
            assert [said(line) for line in inside.read(arn, "in.jsonl.out")] == [f"slowly {n}" for n in range(12)]
    fences = [queue.called(inside.parts.database, job_id)[0].fence for job_id in job_ids]
    assert max(fences) > 1, "nobody lost a job"


def test_a_server_that_is_shut_down_gives_its_jobs_back(tmp_path: Path) -> None:
    inside = Inside(tmp_path, settings(tmp_path))
    arn = inside.create(inside.put("in.jsonl", messages("one"), *[messages("slowly two")] * 20))
    with inside.serving():
        inside.until(arn, "InProgress")
    left = queue.called(inside.parts.database, arn.rpartition("/")[2])[0]
    assert (left.status, left.holder, left.crashes) == ("running", None, 0)
    with inside.serving():
        assert inside.until(arn, "Completed")["successRecordCount"] == 21


def test_input_that_is_changed_while_the_job_runs_fails_it(tmp_path: Path) -> None:
    inside = Inside(tmp_path, settings(tmp_path))
    source = inside.put("in.jsonl", messages("one"), *[messages("slowly two")] * 300)
    arn = inside.create(source)
    with inside.serving():
        inside.until(arn, "InProgress")
    inside.put("in.jsonl", messages("one"), *[messages("other")] * 300)
    with inside.serving():
        job = inside.until(arn, "Failed")
    assert job["message"] == f"{source} was changed or deleted while the job ran."
