"""Servers that are killed in the middle: what they were doing goes on in the next one."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from tests.customization.conftest import SETTINGS, SHADOW
from tests.customization.customizing import Customizing, connect
from tests.live import Server, serve


def kill(server: Server) -> None:
    """With all that it started at once, but not their trainers: those are in sessions of their own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait()


def trainers(home: Path) -> list[int]:
    """Processes that train for a server with this data folder."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            if b"outcrop.training.customizing" in words and str(home).encode() in words[-2]:
                found.append(int(folder.name))
    return found


def until(holds: object, seconds: float = 20) -> None:
    assert callable(holds)
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_killed_server_s_training_goes_on_in_the_next_from_where_it_was(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serve(home, settings=SETTINGS, more=SHADOW) as server:
        customizing = connect(server)
        training = customizing.put("train.jsonl", [{"prompt": "steps 40, slow 0.1", "completion": "."}])
        arn = customizing.create(training)
        out = home / "customization" / arn.rpartition("/")[2] / "out"
        until(lambda: (out / "checkpoint").exists() and int((out / "checkpoint").read_text() or 0) > 3)
        assert trainers(home)
        kill(server)
        # The trainer ends with the server, without being told.
        until(lambda: not trainers(home), 5)
        far = int((out / "checkpoint").read_text())
    assert far < 40
    with serve(home, settings=SETTINGS, more=SHADOW) as server:
        customizing = connect(server)
        starts = out / "starts"
        # Once the lease of the killed one is over.
        until(lambda: starts.read_text().count("start") == 2, 40)
        began = time.monotonic()
        job = customizing.until(arn)
        assert job["status"] == "Completed", job
        assert time.monotonic() - began < 0.1 * 40 + 5
        assert customizing.deploy(job["outputModelArn"])


def test_a_killed_server_s_deployment_is_finished_by_the_next(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serve(home, settings=SETTINGS, more=SHADOW) as server:
        customizing = connect(server)
        job = customizing.until(customizing.create(customizing.put("t.jsonl", [{"prompt": "steps 2"}])))
        arn = customizing.bedrock.create_custom_model_deployment(
            modelDeploymentName="cut", modelArn=job["outputModelArn"]
        )["customModelDeploymentArn"]
        kill(server)
    with serve(home, settings=SETTINGS, more=SHADOW) as server:
        customizing = connect(server)
        row = _deployed(customizing, arn)
        assert row == "Active"
        assert customizing.say(arn, "Hello!")


def _deployed(customizing: Customizing, arn: str) -> str:
    return str(customizing.deployed(arn)["status"])
