"""Ray Train's workers run the same function as torchrun's processes, and go on after one was killed.

Ray is not in the test environment (500 MB). Where it is: `pip install 'outcrop[train,ray]'`, then this file by itself.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("gguf")
pytest.importorskip("ray", reason="Ray is not installed; see the top of this file.")

from outcrop.training import ray_adapter
from outcrop.training.customizing.run import customize
from outcrop.training.customizing.spec import load
from tests.training.customizing.conftest import losses, tiny_base, write_lines
from tests.training.customizing.test_customize import tiny_run
from tests.training.processes import descendants, until

__all__ = ["tiny_base"]
METRICS = "step_wise_training_metrics.csv"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Two cores of this machine. Workers must find what is tested, whoever installed it."""
    import ray

    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    ray.init(
        num_cpus=2, include_dashboard=False, runtime_env={"env_vars": {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}}
    )
    yield
    ray.shutdown()


def training_workers() -> list[int]:
    return [one for one in descendants(os.getpid()) if "RayTrainWorker" in Path(f"/proc/{one}/cmdline").read_text()]


def kill_one_after(step: int, metrics: Path, killed: list[int]) -> None:
    until(lambda: metrics.exists() and len(metrics.read_text().splitlines()) > step)
    killed.append(training_workers()[-1])
    os.kill(killed[0], signal.SIGKILL)


def test_two_workers_survive_a_crash_and_train_as_one_process(tmp_path: Path, tiny_base: Path, cluster: None) -> None:
    parts = {"method": "lora", "hyperparameters": {"batch_tokens": 128}}
    alone, together = (tiny_run(tmp_path / name, tiny_base, **parts) for name in ("alone", "together"))
    customize(load(alone), lambda _: None)
    killed: list[int] = []
    metrics = together.parent / "out" / METRICS
    threading.Thread(target=kill_one_after, args=(5, metrics, killed), daemon=True).start()
    result = ray_adapter.train(together, 2)
    assert killed
    assert result.adapter_gguf is not None
    assert Path(result.adapter_gguf).stat().st_size > 0
    for file in (METRICS, "validation_metrics.csv"):
        pairs = zip(losses(together.parent / "out" / file), losses(alone.parent / "out" / file), strict=True)
        for ours, theirs in pairs:
            assert ours[:2] == theirs[:2]
            assert ours[2] == pytest.approx(theirs[2], rel=1e-3)


def test_bad_data_is_refused_and_not_tried_again(tmp_path: Path, tiny_base: Path, cluster: None) -> None:
    spec = tiny_run(tmp_path, tiny_base)
    write_lines(tmp_path / "train.jsonl", [{"prompt": "p"}])
    with pytest.raises(ray_adapter.RefusedRun, match="line 1"):
        ray_adapter.train(spec, 2)
