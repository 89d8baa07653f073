"""Two machines, played by two agents of torchrun that meet on loopback; one is killed as a machine dies, and comes back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("tokenizers")
pytest.importorskip("gguf")

from outcrop.training import loop
from outcrop.training.customizing.run import customize
from outcrop.training.customizing.spec import load
from tests.live import free_port
from tests.training.customizing.conftest import losses, tiny_base
from tests.training.customizing.test_customize import tiny_run
from tests.training.processes import kill_with_descendants, until

__all__ = ["tiny_base"]
METRICS = "step_wise_training_metrics.csv"


def machine(spec: Path, rank: int, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "outcrop", "train", str(spec), "--profile", "cpu", "--nodes", "2"]
    command += ["--node-rank", str(rank), "--rendezvous", f"127.0.0.1:{port}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL)


def test_processes_of_one_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "usable_cores", lambda: 16)
    monkeypatch.setattr(os, "getloadavg", lambda: (1.2, 0.0, 0.0))
    found = []
    for processes in ("1", "4", "64"):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
        found.append(loop.free_cores())
    assert found == [15, 3, 1]


def test_training_goes_on_when_a_machine_was_lost_and_is_back(tmp_path: Path, tiny_base: Path) -> None:
    parts = {"method": "lora", "hyperparameters": {"batch_tokens": 128}}
    alone, together = (tiny_run(tmp_path / name, tiny_base, **parts) for name in ("alone", "together"))
    customize(load(alone), lambda _: None)
    port, metrics = free_port(), together.parent / "out" / METRICS
    first, second = machine(together, 0, port), machine(together, 1, port)
    try:
        until(lambda: metrics.exists() and len(metrics.read_text().splitlines()) > 5)
        kill_with_descendants(second.pid)
        second.wait()
        second = machine(together, 1, port)
        assert first.wait(180) == 0
        assert second.wait(60) == 0
    finally:
        for agent in (first, second):
            if agent.poll() is None:
                kill_with_descendants(agent.pid)
                agent.wait()
    for file in (METRICS, "validation_metrics.csv"):
        pairs = zip(losses(together.parent / "out" / file), losses(alone.parent / "out" / file), strict=True)
        for ours, theirs in pairs:
            assert ours[:2] == theirs[:2]
            assert ours[2] == pytest.approx(theirs[2], rel=1e-3)
