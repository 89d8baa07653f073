"""The committed example: what its commands read is sound, and what they left belongs together."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

from outcrop.evaluation.models import specs_of
from outcrop.settings import load
from outcrop.training.customizing.spec import load as load_spec
from outcrop.training.generators.__main__ import TOLD

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "docs" / "examples" / "house"


def test_the_settings_name_the_reference() -> None:
    settings = load(EXAMPLE / "settings.toml")
    (spec,) = specs_of(["reference"], settings)
    assert (spec.engine, spec.script) == ("scripted", "runs/house-example/reference.json")


def test_the_spec_customizes_a_shipped_model_on_what_the_script_makes() -> None:
    spec = load_spec(EXAMPLE / "customize.json")
    script = (EXAMPLE / "run.sh").read_text()
    assert (ROOT / spec.base).is_file()
    assert (spec.method, spec.merge) == ("lora", True)
    assert spec.training == ["runs/house-example/training.jsonl"]
    made = re.search(r"training\.generators ([a-z ]+) --count", script)
    assert made is not None
    assert set(made[1].split()) <= set(TOLD)


def test_the_script_says_what_it_needs() -> None:
    said = subprocess.run(["bash", str(EXAMPLE / "run.sh")], capture_output=True, text=True)
    assert said.returncode == 2
    assert "run.sh NANO-V1.gguf NANO-V2.gguf SMALL-V1.gguf" in said.stderr


def test_the_results_are_of_all_models_and_the_reference_is_right() -> None:
    if not (EXAMPLE / "runs.json").exists():
        pytest.skip("The example was not run yet.")
    runs = json.loads((EXAMPLE / "runs.json").read_text())
    summary = (EXAMPLE / "summary.md").read_text()
    assert {run["suite"] for run in runs} == {"house"}
    assert len({(run["items"], run["protocol"], run["version"]) for run in runs}) == 1
    models = [run["model"] for run in runs]
    for name in ("house-nano-v1", "house-nano-v1-lists"):
        assert name in models
        assert f"\n| {name} | " in summary
    assert "\n| reference | 100.0 [" in summary
