"""Specs: read without torch, and what is wrong with one is said in a sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from outcrop.training.customizing.spec import SpecError, load

SOUND: dict[str, Any] = {"base": "model", "training": ["a.jsonl"], "out": "out"}


def written(path: Path, **parts: Any) -> Path:
    file = path / "spec.json"
    file.write_text(json.dumps(SOUND | parts))
    return file


def test_the_least_spec(tmp_path: Path) -> None:
    spec = load(written(tmp_path))
    assert (spec.kind, spec.method, spec.hyperparameters.epochs) == ("fine-tuning", "lora", 2)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown field": ({"bas": 1}, "bas"),
    "an unknown kind": ({"kind": "guessing"}, "kind"),
    "no files": ({"training": []}, "at least one file"),
    "a text for a number": ({"hyperparameters": {"epochs": "2"}}, "epochs"),
    "no epochs": ({"hyperparameters": {"epochs": 0}}, "epochs"),
    "no learning": ({"hyperparameters": {"learning_rate": 0}}, "learning_rate"),
    "patience without data": ({"hyperparameters": {"early_stopping_patience": 2}}, "validation"),
    "a name that is a path": ({"name": "../x"}, "name"),
    "a hidden name": ({"name": ".x"}, "name"),
    "an adapter that is trained fully": ({"method": "full", "adapter": "a"}, "lora"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_spec(tmp_path: Path, case: str) -> None:
    parts, named = WRONG[case]
    with pytest.raises(SpecError, match=named):
        load(written(tmp_path, **parts))


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[]"])
def test_what_is_no_spec(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "spec.json").write_bytes(content)
    with pytest.raises(SpecError, match=r"spec\.json"):
        load(tmp_path / "spec.json")


def test_a_spec_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read"):
        load(tmp_path / "none.json")


def test_the_server_may_import_it() -> None:
    code = "import sys, outcrop.training.customizing.spec; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
