"""A job whose server is killed again and again, judges and perturbed prompts among what it asks, writes what one that was
left alone writes.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from outcrop.batch.submitted import submitted
from outcrop.evaluation.jobs import operations
from outcrop.evaluation.jobs.output import folder_of
from outcrop.jobs import queue
from outcrop.objects.objects import walk
from tests.batch.inside import BUCKET, Inside
from tests.evaluation.jobs.evaluations import JUDGE, MODEL, ROLE, automated, dataset, model, settings

SERVER = """
import asyncio, sys
from datetime import UTC, datetime
from pathlib import Path
from outcrop.batch.service import Service
from outcrop.evaluation.jobs import EVALUATION, run
from outcrop.wire.model import load_services
from tests.batch.inside import QUICK, Inside
run.CHECKPOINT_SECONDS = 0.05
folder = Path(sys.argv[1])
inside = Inside(folder, (folder / "settings.toml").read_text().partition("[store]")[0])
async def serve():
    runs = {EVALUATION: run.EvaluationRun(inside.parts, load_services().operations)}
    Service(inside.parts.database, runs, at_once=4, clock=lambda: datetime.now(UTC), timing=QUICK).start()
    await asyncio.sleep(600)
asyncio.run(serve())
"""
RECORDS, KILLS = 60, 6


def create(inside: Inside, uri: str, name: str) -> str:
    config = automated(dataset("General", uri, "Builtin.Correctness", "Builtin.Helpfulness"), judge=JUDGE)
    request: Any = {
        "jobName": name,
        "roleArn": ROLE,
        "evaluationConfig": config,
        "inferenceConfig": {"models": [model(MODEL)]},
        "outputDataConfig": {"s3Uri": f"s3://{BUCKET}/out"},
    }
    return operations.create_evaluation_job(inside.ctx, request)["jobArn"]


def kept(inside: Inside) -> int:
    row = inside.parts.database.one("SELECT count(*) AS number FROM evaluation_answers")
    assert row is not None
    return int(row["number"])


@contextlib.contextmanager
def server(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Killed at the end, whatever happens."""
    process = subprocess.Popen([sys.executable, "-c", SERVER, str(folder)])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def state(inside: Inside, arn: str) -> str:
    job = queue.called(inside.parts.database, arn.rpartition("/")[2])[0]
    return f"{job.status} {job.fence} {job.crashes} {job.problem} {job.reason} {job.done} of {job.total}"


def ended(inside: Inside, arn: str) -> None:
    deadline = time.monotonic() + 90
    while (status := operations.get_evaluation_job(inside.ctx, {"jobIdentifier": arn})["status"]) == "InProgress":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert status == "Completed"


def written(inside: Inside, arn: str) -> tuple[list[bytes], Any]:
    """The two files that hold answers and verdicts, and what was asked in the last attempt."""
    job = queue.called(inside.parts.database, arn.rpartition("/")[2])[0]
    folder = folder_of(submitted(job))
    found = {
        stored.uri.removeprefix(folder): inside.ctx.objects.get(stored.uri)
        for stored in walk(inside.ctx.objects, folder)
    }
    output = next(body for name, body in found.items() if name.endswith("_output.jsonl"))
    return [output, found["/outcrop/records.jsonl"]], orjson.loads(found["/outcrop/summary.json"])["asked"]


def test_killed_again_and_again(tmp_path: Path) -> None:
    chance = random.Random(11)
    text = settings(tmp_path)
    for name, delay in (("script", 40), ("judge", 20)):
        script = json.loads((tmp_path / f"{name}.json").read_text())
        script["rules"] = [{**rule, "first_delay_ms": delay} for rule in script["rules"] if "error" not in rule]
        script["rules"].append({"matches": ".", "first_delay_ms": delay})
        (tmp_path / f"{name}.json").write_text(json.dumps(script))
    inside = Inside(tmp_path, text)
    lines = [
        {"prompt": f"Number {n}: Jupiter?" if n % 2 else f"Saturn {n}", "referenceResponse": "x"}
        for n in range(RECORDS)
    ]
    inside.ctx.objects.put(f"s3://{BUCKET}/in.jsonl", b"\n".join(map(orjson.dumps, lines)))
    arn = create(inside, f"s3://{BUCKET}/in.jsonl", "killed")
    counts: list[int] = []
    for _ in range(KILLS):
        before = kept(inside)
        with server(tmp_path) as running:
            deadline = time.monotonic() + 60
            while kept(inside) < before + 5:
                assert time.monotonic() < deadline, (counts, before, state(inside, arn))
                assert running.poll() is None
                time.sleep(0.005)
            time.sleep(chance.uniform(0, 0.1))
        counts.append(kept(inside))
    assert counts == sorted(set(counts))
    assert operations.get_evaluation_job(inside.ctx, {"jobIdentifier": arn})["status"] == "InProgress"
    with server(tmp_path):
        ended(inside, arn)
        once, asked = written(inside, arn)
        total = kept(inside)
        assert sum(one["answered"] for one in asked) == total - counts[-1]
        assert sum(one["knownBefore"] for one in asked) >= counts[-1]
        # Another job that is left alone, and finds nothing kept.
        with inside.parts.database.transaction() as transaction:
            transaction.execute("DELETE FROM evaluation_answers")
        calm = create(inside, f"s3://{BUCKET}/in.jsonl", "calm")
        ended(inside, calm)
    assert written(inside, calm)[0] == once
    assert kept(inside) == total
