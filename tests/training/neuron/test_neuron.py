"""The training step on a device that is called `neuron` and is none: which losses, how many shapes, in which types."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("tokenizers")
pytest.importorskip("gguf")

from outcrop.training.customizing.run import customize
from outcrop.training.customizing.spec import load
from tests.training.customizing.conftest import Trainer, losses, tiny_base, write_lines
from tests.training.customizing.test_customize import tiny_run

__all__ = ["tiny_base"]
METRICS, JUDGED = "step_wise_training_metrics.csv", "validation_metrics.csv"
STEPS_IN_EPOCH = 10


def spec_of(folder: Path, base: Path, **parts: Any) -> Path:
    hyper = {"batch_tokens": 512, **parts.pop("hyperparameters", {})}
    return tiny_run(folder, base, **{"packed": True, "context": 128, "hyperparameters": hyper, **parts})


def steps_on_neuron(spec: Path) -> list[dict[str, Any]]:
    status, told = Trainer(spec, module="tests.training.neuron.trainer").finish()
    assert status == 0, told[-1:]
    return [message for message in told if message["type"] == "progress"]


def compare(ours: Path, theirs: Path, tolerance: float) -> None:
    for file in (METRICS, JUDGED):
        pairs = list(zip(losses(ours.parent / "out" / file), losses(theirs.parent / "out" / file), strict=True))
        assert pairs
        for one, other in pairs:
            assert one[:2] == other[:2]
            assert one[2] == pytest.approx(other[2], rel=tolerance)


@pytest.mark.parametrize(("method", "optimizer"), [("lora", "adamw"), ("full", "muon")])
def test_losses_are_the_cpu_s_and_shapes_do_not_grow(
    tmp_path: Path, tiny_base: Path, method: str, optimizer: str
) -> None:
    parts = {"method": method, "hyperparameters": {"optimizer": optimizer}}
    here, there = (spec_of(tmp_path / name, tiny_base, **parts) for name in ("cpu", "neuron"))
    customize(load(here), lambda _: None)
    steps = steps_on_neuron(there)
    compare(there, here, 2e-5)
    programs = [step["programs"] for step in steps]
    # The first checkpoint and the second step of an optimizer do what the first step does not, the first validation likewise.
    assert len(set(programs[1:STEPS_IN_EPOCH])) == 1
    assert len(set(programs[STEPS_IN_EPOCH:])) == 1
    assert steps[-1]["bfloat16"] == 0


def test_in_bfloat16_and_compiled_as_trainium_s_profile_wants_it(tmp_path: Path, tiny_base: Path) -> None:
    parts = {"method": "full", "hyperparameters": {"precision": "bf16", "epochs": 1}}
    here, there = (spec_of(tmp_path / name, tiny_base, **parts) for name in ("cpu", "neuron"))
    there.write_text(there.read_text().replace('"precision": "bf16"', '"precision": "bf16", "compile": true'))
    customize(load(here), lambda _: None)
    steps = steps_on_neuron(there)
    compare(there, here, 2e-2)
    assert steps[-1]["bfloat16"] > 0
    # All that is compiled is compiled in the first step.
    assert len({step["compiled"] for step in steps}) == 1
    assert steps[0]["compiled"] > 0
    assert len({step["programs"] for step in steps[1:]}) == 1


def test_rows_of_many_lengths_would_be_many_programs(tmp_path: Path, tiny_base: Path) -> None:
    """What the tests above count does grow where shapes do."""
    spec = spec_of(tmp_path / "neuron", tiny_base, packed=False)
    records = [{"prompt": "one " * (2 * n), "completion": "two"} for n in range(1, 25)]
    write_lines(spec.parent / "train.jsonl", records)
    programs = [step["programs"] for step in steps_on_neuron(spec)]
    assert len(set(programs[1:6])) > 1


REFUSALS = """
import torch
from tests.training.neuron import device
kept = device.register()
assert str(torch.accelerator.current_accelerator()) == "neuron"
def refused(make):
    try:
        make()
    except device.Float64Refused:
        return
    raise SystemExit("float64 was not refused")
one = torch.ones(2, device="neuron")
refused(lambda: torch.zeros(2, dtype=torch.float64, device="neuron"))
refused(lambda: torch.ones(2, dtype=torch.float64).to("neuron"))
refused(lambda: one.double())
refused(lambda: one + torch.ones((2,), dtype=torch.float64, device="cpu").to("neuron"))
assert (one * 0.5).cpu().tolist() == [0.5, 0.5]
one.add_(1)
assert one[:1].fill_(7).item() == 7 and one.tolist() == [7, 2]
before = len(device.PROGRAMS)
one @ one
assert len(device.PROGRAMS) == before + 1
one @ one
assert len(device.PROGRAMS) == before + 1
torch.ones(3, device="neuron") @ torch.ones(3, device="neuron")
assert len(device.PROGRAMS) == before + 3
with torch.autocast("neuron", torch.bfloat16):
    half = torch.nn.functional.linear(torch.ones(1, 2, device="neuron"), torch.ones(2, 2, device="neuron"))
assert half.dtype == torch.bfloat16
"""


def test_the_device_refuses_float64_and_counts_shapes() -> None:
    subprocess.run([sys.executable, "-c", REFUSALS], check=True, timeout=120)


PROCESS_GROUP = """
import torch, torch.distributed as dist
from torch.testing._internal.distributed import fake_pg
from outcrop.training import parallel
from tests.training.neuron import device
kept = device.register()
dist.Backend.register_backend("neuron", fake_pg._create_fake_pg, extended_api=True, devices=["neuron"])
with parallel.world():
    print(dist.get_backend(), parallel.size())
"""


def test_its_processes_meet_in_its_own_process_group(tmp_path: Path) -> None:
    """TorchNeuron registers a process group `neuron` for its device; that one is asked for."""
    script = tmp_path / "meet.py"
    script.write_text(PROCESS_GROUP)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1", str(script)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    said = subprocess.run(command, check=True, timeout=120, capture_output=True, text=True, env=environment).stdout
    assert said.split() == ["neuron", "1"]
