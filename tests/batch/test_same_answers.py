"""What the house model writes in a batch job at temperature 0 is the same, byte for byte, if its server is killed meanwhile."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError

from outcrop.store.database import Database
from tests.batch.batches import Batches, connect, converse, id_of
from tests.live import serve
from tests.stores import store_at

HOUSE, LLAMA = "outcrop.house-nano-v1:0", "meta.llama3-1-8b-instruct-v1:0"
SETTINGS = f'[batch]\nleast_records = 1\n[aliases]\n"meta.*" = "{HOUSE}"\n'
RECORDS = 300
WORDS = (
    "river",
    "stone",
    "blue walk",
    "an old house",
    "what a cat did",
    "when winter came",
    "seven hills",
    "the valley",
)


def asked(n: int) -> str:
    """Texts of 5 to 150 words, of which many begin alike: what one leaves in the model's cache serves another."""
    return " ".join(["Tell me of"] + [WORDS[(n * step) % len(WORDS)] for step in range(1, n % 60 + 2)] + [f"and {n}."])


def created(batches: Batches) -> dict[str, str]:
    """The ARNs of two jobs beside each other, InvokeModel and Converse."""
    texts = [asked(n) for n in range(RECORDS)]
    prompts = [{"prompt": text, "max_gen_len": 30, "temperature": 0} for text in texts]
    bodies = [converse(text, maxTokens=30) for text in texts]
    made = {}
    for how, model, given in (("InvokeModel", LLAMA, prompts), ("Converse", HOUSE, bodies)):
        records = [{"recordId": f"R{n}", "modelInput": one} for n, one in enumerate(given)]
        made[how] = batches.create(batches.put(f"{how}/in.jsonl", records), modelId=model, modelInvocationType=how)
    return made


def answered(batches: Batches, arns: dict[str, str]) -> tuple[bytes, list[Any], list[Any]]:
    """The output: bytes of InvokeModel's, lines of Converse's without the time that each took, and both manifests."""
    for arn in arns.values():
        job = batches.until(arn, seconds=120)
        assert (job["status"], job["successRecordCount"]) == ("Completed", RECORDS)
    key = f"out/{id_of(arns['InvokeModel'])}/in.jsonl.out"
    raw = batches.s3.get_object(Bucket=batches.bucket, Key=key)["Body"].read()
    lines = batches.read(arns["Converse"], "in.jsonl.out")
    for line in lines:
        del line["modelOutput"]["metrics"]
    return raw, lines, [batches.manifest(arn) for arn in arns.values()]


def progress(batches: Batches, arns: dict[str, str], beyond: int) -> int:
    """Records that are done, once they are more; the server may be on its way back."""
    deadline = time.monotonic() + 90
    done = beyond
    while done <= beyond:
        assert time.monotonic() < deadline, batches.server.log[-3000:]
        time.sleep(0.1)
        try:
            done = sum(batches.get(arn).get("processedRecordCount", 0) for arn in arns.values())
        except BotoCoreError:
            continue
    assert done < 2 * RECORDS, "too quick to be killed"
    return done


def worker_of(server: int) -> int:
    """The process that answers requests: the child of the server that has llama.cpp as a child."""
    (found,) = {child for child in _children(server) for below in _children(child) if "llamacpp" in _command(below)}
    return found


def _children(of: int) -> list[int]:
    texts = [task.read_text() for task in Path(f"/proc/{of}/task").glob("*/children")]
    return [int(number) for text in texts for number in text.split()]


def _command(of: int) -> str:
    return Path(f"/proc/{of}/cmdline").read_text()


def pass_leases(home: Path) -> None:
    """As if the killed server's leases had run out, which takes twenty seconds."""
    database = Database.open(store_at(home))
    with database.transaction() as transaction:
        transaction.execute("UPDATE jobs SET lease_until = '2000-01-01T00:00:00Z' WHERE lease_until IS NOT NULL")
    database.close()


def test_a_killed_job_answers_as_an_undisturbed_one(tmp_path: Path) -> None:
    with serve(tmp_path / "calm", settings=SETTINGS) as server:
        calm_batches = connect(server)
        calm = answered(calm_batches, created(calm_batches))
    home = tmp_path / "killed"
    with serve(home, settings=SETTINGS) as server:
        batches = connect(server)
        arns = created(batches)
        done = progress(batches, arns, 0)
        os.kill(worker_of(server.process.pid), signal.SIGKILL)
        pass_leases(home)
        done = progress(batches, arns, done)
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
        pass_leases(home)
    with serve(home, settings=SETTINGS) as server:
        batches = connect(server)
        batches.runtime.converse(modelId=HOUSE, **converse(asked(7)))
        raw, lines, manifests = answered(batches, arns)
    assert [json.loads(line)["recordId"] for line in raw.splitlines()] == [f"R{n}" for n in range(RECORDS)]
    assert (raw, lines, manifests) == calm
    assert len({line["modelOutput"]["output"]["message"]["content"][0]["text"] for line in lines}) > RECORDS // 3
