"""Batch inference with nothing but the AWS CLI, as docs/how-to/batch.md says, with the house model."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.conversation import QUESTION, user
from tests.journeys.test_aws_cli import AWS
from tests.live import Server, serve

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "batch.md"
pytestmark = pytest.mark.skipif(not AWS.exists(), reason="the AWS CLI is not installed: scripts/install-clients")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("batch"), settings="[batch]\nleast_records = 1\n") as running:
        yield running


def run(server: Server, folder: Path, script: str) -> str:
    path = f"{AWS.parent}:{Path(sys.executable).parent}:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-euc", script], cwd=folder, env={**server.environment, "PATH": path, "AWS_PAGER": ""},
        check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_how_to(server: Server, tmp_path: Path) -> None:
    block = re.search(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert block is not None
    asking, listing, fetching = re.split(r"^(aws bedrock list-model-invocation-jobs)\n", block[1], flags=re.MULTILINE)
    body = {"messages": [user(QUESTION)], "inferenceConfig": {"maxTokens": 20, "temperature": 0}}
    records = [{"recordId": f"r{n}", "modelInput": body} for n in range(5)]
    (tmp_path / "records.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    run(server, tmp_path, asking)
    for _ in range(120):
        (job,) = json.loads(run(server, tmp_path, f"{listing} --output json"))["invocationJobSummaries"]
        if job["status"] in ("Completed", "Failed"):
            break
        time.sleep(0.5)
    assert job["status"] == "Completed", job
    run(server, tmp_path, fetching)
    (manifest,) = (json.loads(path.read_text()) for path in tmp_path.glob("*/manifest.json.out"))
    assert (manifest["totalRecordCount"], manifest["successRecordCount"], manifest["errorRecordCount"]) == (5, 5, 0)
    (written,) = tmp_path.glob("*/records.jsonl.out")
    answers = [json.loads(line) for line in written.read_text().splitlines()]
    assert [answer["recordId"] for answer in answers] == [f"r{n}" for n in range(5)]
    texts = {answer["modelOutput"]["output"]["message"]["content"][0]["text"] for answer in answers}
    assert len(texts) == 1


def test_a_job_is_looked_at_and_stopped(server: Server, tmp_path: Path) -> None:
    body = {"messages": [user(QUESTION)], "inferenceConfig": {"maxTokens": 200, "temperature": 0}}
    records = [{"recordId": f"r{n}", "modelInput": body} for n in range(20_000)]
    (tmp_path / "many.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    arn = run(
        server,
        tmp_path,
        "aws s3 mb s3://many >&2; aws s3 cp many.jsonl s3://many/in/ >&2\n"
        "aws bedrock create-model-invocation-job --job-name many --model-invocation-type Converse"
        " --role-arn arn:aws:iam::123456789012:role/Elsewhere --model-id outcrop.house-nano-v1:0"
        """ --input-data-config '{"s3InputDataConfig": {"s3Uri": "s3://many/in/"}}'"""
        """ --output-data-config '{"s3OutputDataConfig": {"s3Uri": "s3://many/out/"}}'"""
        " --query jobArn --output text",
    ).strip()

    def got() -> dict[str, object]:
        told: dict[str, object] = json.loads(
            run(server, tmp_path, f"aws bedrock get-model-invocation-job --job-identifier {arn} --output json")
        )
        return told

    deadline = time.monotonic() + 60
    while got()["status"] != "InProgress":
        assert time.monotonic() < deadline
        time.sleep(0.3)
    run(server, tmp_path, f"aws bedrock stop-model-invocation-job --job-identifier {arn}")
    while (job := got())["status"] != "Stopped":
        assert job["status"] == "Stopping"
        assert time.monotonic() < deadline
        time.sleep(0.3)
    assert job["totalRecordCount"] == 20_000
    run(server, tmp_path, "aws s3 cp --recursive s3://many/out/ .")
    # What was answered before is kept.
    assert list(tmp_path.glob("*/manifest.json.out"))
