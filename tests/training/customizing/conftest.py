"""A tiny base model, records, and the process that trains on them."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.training.conftest import RECIPE

if TYPE_CHECKING:
    from tokenizers import Tokenizer

HOUSE = Path(__file__).resolve().parents[3] / "src/outcrop/house/house-nano-v1/house-nano-v1.gguf"


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Path:
    """A Hugging Face folder: two layers, random, with weights large enough that attention and positions matter."""
    torch = pytest.importorskip("torch")
    from outcrop.training import export
    from outcrop.training.model import Decoder
    from outcrop.training.pretraining import config_of
    from outcrop.training.recipe import load

    folder = tmp_path_factory.mktemp("base")
    (folder / "recipe.toml").write_text(RECIPE)
    recipe = load(folder / "recipe.toml")
    torch.manual_seed(5)
    model = Decoder(config_of(recipe))
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.normal_(std=1.2 * weight.shape[1] ** -0.5)
            else:
                weight.uniform_(0.5, 1.5)
    export.write(model, tokenizer, folder / "tiny", recipe)
    return folder / "tiny"


def write_lines(path: Path, records: Sequence[Any]) -> Path:
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), "utf-8")
    return path


def spec_file(path: Path, **parts: Any) -> Path:
    """A spec on one thread in float32, with `parts` in it."""
    hyper = {"precision": "fp32", **parts.pop("hyperparameters", {})}
    whole = {"out": str(path.parent / "out"), "threads": 1, "hyperparameters": hyper, **parts}
    path.write_text(json.dumps(whole, default=str))
    return path


class Trainer:
    """`python -m outcrop.training.customizing`, its standard input held open."""

    def __init__(self, spec: Path, *launcher: str, module: str = "outcrop.training.customizing") -> None:
        command = [sys.executable, "-m", *(launcher or ()), module, str(spec)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )

    def messages(self) -> Iterator[dict[str, Any]]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            yield json.loads(line)

    def kill_at(self, step: int) -> None:
        """As soon as it has told of `step`: SIGKILL. Processes that it has started end with its standard input."""
        told = list(self.until(step))
        assert told[-1].get("step") == step, "it ended before"
        self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()
        list(self.messages())

    def until(self, step: int) -> Iterator[dict[str, Any]]:
        for message in self.messages():
            yield message
            if message["type"] == "progress" and message["step"] == step:
                return

    def finish(self, timeout: float = 300) -> tuple[int, list[dict[str, Any]]]:
        """Exit status and all messages."""
        told = list(self.messages())
        return self.process.wait(timeout), told


def trained(spec: Path) -> list[dict[str, Any]]:
    status, told = Trainer(spec).finish()
    assert status == 0, told[-1:]
    assert told[-1]["type"] == "done"
    return told


def losses(file: Path) -> list[tuple[str, str, float]]:
    """(step, epoch, loss) of a metrics file."""
    with file.open(newline="") as opened:
        return [(row[0], row[1], float(row[2])) for row in list(csv.reader(opened))[1:]]
