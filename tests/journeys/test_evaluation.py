"""Evaluation jobs with nothing but the AWS CLI, as docs/how-to/evaluation-jobs.md says, with the house model."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.test_aws_cli import AWS
from tests.journeys.test_batch import run
from tests.live import Server, serve

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "evaluation-jobs.md"
pytestmark = pytest.mark.skipif(not AWS.exists(), reason="the AWS CLI is not installed: scripts/install-clients")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("evaluation")) as running:
        yield running


def test_the_how_to(server: Server, tmp_path: Path) -> None:
    first, judged, _ = re.findall(r"```sh\n(.*?)```", PAGE.read_text(), re.DOTALL)
    asking, listing, fetching = re.split(r"^(aws bedrock list-evaluation-jobs)\n", first, flags=re.MULTILINE)
    role = (
        asking[asking.index("ROLE_ARN=") :]
        .partition("\n")[0]
        .replace("roles create evaluation", "roles create judging")
    )
    run(server, tmp_path, asking)
    run(server, tmp_path, f"{role}\n{judged}")
    for _ in range(240):
        jobs = json.loads(run(server, tmp_path, f"{listing} --output json"))["jobSummaries"]
        if {job["status"] for job in jobs} <= {"Completed", "Failed"}:
            break
        time.sleep(0.5)
    assert [(job["jobName"], job["status"]) for job in jobs] == [("judged", "Completed"), ("first", "Completed")], jobs
    run(server, tmp_path, fetching)
    (written,) = tmp_path.glob("first/*/models/*/taskTypes/QuestionAndAnswer/datasets/sums/*_output.jsonl")
    lines = [json.loads(line) for line in written.read_text().splitlines()]
    assert [line["inputRecord"]["category"] for line in lines] == ["sums", "sums"]
    assert "Accuracy" in {
        score["metricName"] for line in lines for score in line["automatedEvaluationResult"]["scores"]
    }
    (judged_too,) = tmp_path.glob("judged/*/models/*/taskTypes/General/datasets/sums/*_output.jsonl")
    assert len(judged_too.read_text().splitlines()) == 2
    assert (next(tmp_path.glob("judged/*/outcrop/judge-prompts.json"))).exists()
