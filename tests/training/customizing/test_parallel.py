"""Two processes under torchrun train as one does, and resume exactly: FSDP2 on gloo."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("tokenizers")
pytest.importorskip("gguf")

import torch

from outcrop.training.customizing import base as bases
from tests.training.customizing.conftest import Trainer, losses, trained
from tests.training.customizing.test_customize import tiny_run

METRICS = "step_wise_training_metrics.csv"


def torchrun(spec: Path) -> Trainer:
    return Trainer(spec, "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")


@pytest.mark.parametrize(("method", "optimizer", "then"), [("lora", "adamw", Trainer), ("full", "muon", torchrun)])
def test_two_processes_train_as_one(
    tmp_path: Path, tiny_base: Path, method: str, optimizer: str, then: Callable[[Path], Trainer]
) -> None:
    """They are killed; two others go on, or a single one."""
    hyper = {"batch_tokens": 128, "optimizer": optimizer}
    alone = tiny_run(tmp_path / "alone", tiny_base, method=method, hyperparameters=hyper)
    result = trained(alone)[-1]["result"]
    together = tiny_run(tmp_path / "together", tiny_base, method=method, hyperparameters=hyper)
    first = torchrun(together)
    first.kill_at(7)
    status, told = then(together).finish()
    assert status == 0, told[-1:]
    assert next(message["step"] for message in told if message["type"] == "progress") in (7, 8)
    for file in (METRICS, "validation_metrics.csv"):
        pairs = zip(losses(together.parent / "out" / file), losses(alone.parent / "out" / file), strict=True)
        for ours, theirs in pairs:
            assert ours[:2] == theirs[:2]
            assert ours[2] == pytest.approx(theirs[2], rel=1e-3)
    if method == "full":
        found, wanted = (bases.load(Path(r["folder"])).weights() for r in (told[-1]["result"], result))
        for name, weight in wanted.items():
            assert torch.allclose(found[name], weight, atol=2e-2), name
