"""The commands and environments that start training on one machine and on several. Nothing here needs torch."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from outcrop.cli.train import train
from outcrop.training.customizing.spec import FAILED, load
from outcrop.training.launch import Machines, of_spec
from tests.training.conftest import RECIPE

COMPILED = {"hyperparameters": {"compile": True}}
TWO = ("--nodes", "2", "--rendezvous", "10.0.0.7:29500")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    file = tmp_path / "tiny.toml"
    file.write_text(RECIPE)
    return file


def spec(folder: Path, parts: Mapping[str, Any] = COMPILED) -> Path:
    file = folder / "spec.json"
    file.write_text(json.dumps({"base": "b", "training": ["t.jsonl"], "out": "o", "name": "mine", **parts}))
    return file


def printed(*arguments: object) -> str:
    result = CliRunner().invoke(train, [*map(str, arguments), "--print"])
    assert result.exit_code == 0, result.output
    return result.output.strip()


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(train, [*map(str, arguments)])
    assert result.exit_code == 1, result.output
    return result.output


def test_one_machine_needs_no_rendezvous(tmp_path: Path) -> None:
    said = printed(spec(tmp_path), "--profile", "cuda")
    assert said == (
        f"{sys.executable} -m torch.distributed.run --standalone --nproc-per-node gpu --max-restarts 3 "
        f"-m outcrop.training.customizing {tmp_path / 'spec.json'}"
    )


def test_trainium_on_two_machines(tmp_path: Path) -> None:
    said = printed(spec(tmp_path), "--profile", "neuron", *TWO, "--node-rank", "1", "--processes", "64")
    assert said == (
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 FI_PROVIDER=efa FI_EFA_USE_DEVICE_RDMA=1 FI_EFA_FORK_SAFE=1 "
        f"{sys.executable} -m torch.distributed.run --nnodes 2 --rdzv-backend c10d "
        "--rdzv-endpoint 10.0.0.7:29500 --rdzv-id outcrop-mine --rdzv-conf is_host=0 --nproc-per-node 64 --max-restarts 3 "
        f"-m outcrop.training.customizing {tmp_path / 'spec.json'}"
    )


def test_machines_differ_by_who_holds_the_rendezvous_alone(tmp_path: Path) -> None:
    first, second = (printed(spec(tmp_path), "--profile", "neuron", *TWO, "--node-rank", rank) for rank in (0, 1))
    assert first.replace("is_host=1", "is_host=0") == second
    assert "--nproc-per-node neuron " in first


def test_a_single_trainium_machine_has_no_fabric_to_be_told_of(tmp_path: Path) -> None:
    assert "FI_" not in printed(spec(tmp_path), "--profile", "neuron")


def test_a_recipe_is_trained_by_the_same_command(recipe: Path) -> None:
    said = printed(recipe, "--profile", "cpu", "--processes", "2", "--out", "my runs", "--restarts", "0")
    assert shlex.split(said)[2:] == [
        "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "0",
        "-m", "outcrop", "train", str(recipe), "--out", "my runs",
    ]  # fmt: skip


def test_torchrun_understands_what_is_printed(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from torch.distributed.run import parse_args

    said = shlex.split(printed(spec(tmp_path), "--profile", "cpu", *TWO))
    assert said[:4] == ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1", sys.executable, "-m", "torch.distributed.run"]
    parsed = parse_args(said[4:])  # type: ignore[no-untyped-call]  # torch leaves it untyped
    assert (parsed.nnodes, parsed.nproc_per_node, parsed.max_restarts) == ("2", "1", 3)
    assert (parsed.rdzv_backend, parsed.rdzv_endpoint, parsed.rdzv_conf) == ("c10d", "10.0.0.7:29500", "is_host=1")
    assert (parsed.training_script, parsed.module) == ("outcrop.training.customizing", True)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({}, "compile must be true"),
        ({**COMPILED, "packed": False}, "packed must not be false"),
        ({"hyperparameters": {"compile": True, "precision": "fp32"}}, 'precision must be "bf16"'),
        ({**COMPILED, "kind": "reinforcement"}, "the kind reinforcement is not"),
        ({**COMPILED, "kind": "preference"}, "the kind preference is not"),
    ],
)
def test_what_trainium_cannot_do_well_is_refused(tmp_path: Path, parts: Mapping[str, Any], reason: str) -> None:
    file = spec(tmp_path, parts)
    assert reason in refused(file, "--profile", "neuron", "--print")
    assert of_spec("cuda", Machines(), file, load(file)).environment == {}


def test_a_recipe_for_trainium_is_compiled_and_not_in_float32(recipe: Path) -> None:
    assert "compile must be true" in refused(recipe, "--profile", "neuron", "--print")
    recipe.write_text(RECIPE + "compile = true\n")
    assert 'precision must be "bf16"' in refused(recipe, "--profile", "neuron", "--print")
    recipe.write_text(RECIPE.replace('precision = "fp32"', "compile = true"))
    assert "--nproc-per-node neuron " in printed(recipe, "--profile", "neuron")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--profile", "cpu", "--nodes", "2"), "need a rendezvous"),
        (("--profile", "cpu", "--nodes", "2", "--rendezvous", "here"), "is not HOST:PORT"),
        (("--profile", "cpu", "--nodes", "2", "--rendezvous", "here:99999"), "is not HOST:PORT"),
        (("--profile", "cpu", "--nodes", "2", "--node-rank", "2", "--rendezvous", "a:1"), "2 is none of them"),
        (("--nodes", "2"), "Say with --profile"),
        (("--print",), "Say with --profile"),
        (("--profile", "cpu", "--no-resume", "--restarts", "1"), "--restarts 0"),
    ],
)
def test_mistakes_are_told(recipe: Path, options: tuple[str, ...], reason: str) -> None:
    assert reason in refused(recipe, *options)


def test_options_of_recipes_are_not_for_specs(tmp_path: Path) -> None:
    assert "are for recipes" in refused(spec(tmp_path), "--out", "elsewhere")


def test_a_spec_is_trained_in_this_process(tmp_path: Path) -> None:
    """Here it fails, in a sentence and with the trainer's exit status: its base is not there."""
    pytest.importorskip("torch")
    file = spec(tmp_path, {**COMPILED, "base": str(tmp_path / "nothing"), "out": str(tmp_path / "out")})
    result = CliRunner().invoke(train, [str(file)])
    assert result.exit_code == FAILED
    assert json.loads(result.output.splitlines()[-1])["type"] == "failed"


def test_without_print_torchrun_takes_the_command_s_place(tmp_path: Path) -> None:
    """Its signals must reach torchrun: no process of ours stays between."""
    pytest.importorskip("torch")
    (tmp_path / "torch" / "distributed").mkdir(parents=True)
    for package in ("torch", "torch/distributed"):
        (tmp_path / package / "__init__.py").touch()
    (tmp_path / "torch/distributed/run.py").write_text(
        "import json, os, sys; print(json.dumps([os.getpid(), os.environ.get('FI_PROVIDER'), sys.argv[1:]]))"
    )
    command = [sys.executable, "-m", "outcrop", "train", str(spec(tmp_path)), "--profile", "neuron", *TWO]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    said, _ = started.communicate(timeout=60)
    process, provider, arguments = json.loads(said)
    assert (process, provider) == (started.pid, "efa")
    assert arguments[-1] == str(tmp_path / "spec.json")
    assert re.search(r"--rdzv-endpoint 10\.0\.0\.7:29500", " ".join(arguments))
