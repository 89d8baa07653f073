"""A model is customized as docs/how-to/customize.md says, by the real trainer; and once more with a server that is killed."""

from __future__ import annotations

import contextlib
import csv
import importlib.util
import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from outcrop.settings import HOUSE_MODEL
from tests.customization.customizing import Customizing, connect, outcrop
from tests.live import Server, serve

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "customize.md"
SETTINGS = "[customization]\nthreads = 1\ncheckpoint_seconds = 1.0\n"
pytestmark = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("customization"), settings=SETTINGS) as running:
        yield running


def run(server: Server, folder: Path, arguments: list[str], given: str) -> str:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        arguments, input=given, cwd=folder, env={**server.environment, "PATH": path},
        check=False, capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{server.log[-2000:]}"
    return done.stdout


def test_the_how_to(server: Server, tmp_path: Path) -> None:
    blocks = re.findall(r"```(sh|python)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (_, preparing), (_, customizing) = blocks
    run(server, tmp_path, ["bash", "-eu"], preparing)
    said = run(server, tmp_path, [sys.executable, "-"], customizing).splitlines()
    assert said[0].startswith("Completed")
    assert "zebra" not in said[1]
    assert said[2].endswith("It is the zebra.")

    losses = metrics(connect(server, "training"), "step_wise_training_metrics.csv")
    assert [int(row["step_number"]) for row in losses] == list(range(1, 31))
    assert float(losses[-1]["training_loss"]) < float(losses[0]["training_loss"]) / 10
    validation = metrics(connect(server, "training"), "validation_metrics.csv")
    assert len(validation) == 6
    assert float(validation[-1]["validation_loss"]) < float(validation[0]["validation_loss"])


def metrics(client: Customizing, name: str, job: str = "") -> list[dict[str, str]]:
    (key,) = [key for key in client.keys("") if key.endswith(name) and job in key]
    return list(csv.DictReader(io.StringIO(client.read(key))))


def test_bad_data_is_refused_before_training(server: Server) -> None:
    client = connect(server)
    records = [{"prompt": "a", "completion": "b"}, "{not json", {"prompt": "a"}, {"prompt": "a", "completion": "c"}]
    job = client.until(client.create(client.put("bad.jsonl", records)), seconds=90)
    assert job["status"] == "Failed"
    assert "bad.jsonl line 2:" in job["failureMessage"]
    assert "bad.jsonl line 3:" in job["failureMessage"]
    assert job["statusDetails"]["trainingDetails"]["status"] == "NotStarted"


def test_a_killed_server_s_training_goes_on_in_the_next(tmp_path: Path) -> None:
    home = tmp_path / "home"
    records = [{"prompt": f"Which word has number {n}?", "completion": f"Word {n} is elephant."} for n in range(16)]
    with serve(home, settings=SETTINGS) as server:
        client = connect(server)
        arn = client.create(
            client.put("train.jsonl", records), hyperParameters={"epochCount": "30", "learningRate": "0.002"}
        )
        number = arn.rpartition("/")[2]
        checkpoint = home / "customization" / number / "out" / "checkpoint"
        until(lambda: checkpoint.exists() and (done(server, number) or 0) > 10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
    with serve(home, settings=SETTINGS) as server:
        client = connect(server)
        job = client.until(arn, seconds=150)
        assert job["status"] == "Completed", job
        # Each step is there once, and the loss goes on to fall.
        losses = metrics(client, "step_wise_training_metrics.csv", number)
        assert [int(row["step_number"]) for row in losses] == list(range(1, 61))
        assert float(losses[-1]["training_loss"]) < float(losses[0]["training_loss"]) / 10
        deployment = client.deploy(job["outputModelArn"])
        assert client.say(deployment, "Which word has number 3?") == "Word 3 is elephant."
        assert client.say(HOUSE_MODEL, "Which word has number 3?") != "Word 3 is elephant."


def test_a_training_is_stopped_within_ten_seconds(server: Server) -> None:
    client = connect(server)
    records = [{"prompt": f"Question {n}?", "completion": f"Answer {n}."} for n in range(64)]
    arn = client.create(client.put("long.jsonl", records), hyperParameters={"epochCount": "1000"})
    client._until(
        lambda: client.get(arn), lambda job: job["statusDetails"]["trainingDetails"]["status"] == "InProgress", 90
    )
    client.bedrock.stop_model_customization_job(jobIdentifier=arn)
    job = client.until(arn, seconds=10)
    assert job["status"] == "Stopped"
    assert "outputModelArn" not in job


def done(server: Server, number: str) -> float | None:
    """Steps, as `outcrop jobs` shows them."""
    found: float | None = outcrop(server, "jobs", "show", number).get("done")
    return found


def until(holds: object, seconds: float = 90) -> None:
    assert callable(holds)
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)
