"""Checkpoints: distributed ones (DCP), which any number of processes can read, with the progress beside them as JSON.

`checkpoint/step-N` is whole or not there: it is written as `step-N.partial` and renamed.
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint.state_dict_loader as loader
import torch.distributed.checkpoint.state_dict_saver as saver
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from outcrop.training import parallel
from outcrop.training.progress import Progress

FOLDER = "checkpoint"
# What is frozen is in the base model's file already; "strict" would ask for it again.
_TRAINED = StateDictOptions(ignore_frozen_params=True, strict=False)


def save(out: Path, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], progress: Progress) -> None:
    """All processes must call it."""
    folder = out / FOLDER
    partial, target = folder / f"step-{progress.step}.partial", folder / f"step-{progress.step}"
    if target.exists():
        return
    if parallel.rank() == 0:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    parallel.wait()
    _quietly(saver.save, _state(model, optimizers), checkpoint_id=partial)
    if parallel.rank() == 0:
        (partial / "progress.json").write_text(json.dumps(asdict(progress)))
        partial.replace(target)
        for older in folder.iterdir():
            if older != target and older.name.startswith("step-"):
                shutil.rmtree(older)
    parallel.wait()


def restore(out: Path, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> Progress | None:
    """The newest checkpoint's progress, its weights and optimizers put in place; None if there is none."""
    found = [path for path in (out / FOLDER).glob("step-*") if not path.name.endswith(".partial")]
    if not found:
        return None
    newest = max(found, key=lambda path: int(path.name.removeprefix("step-")))
    state = _state(model, optimizers)
    _quietly(loader.load, state, checkpoint_id=newest)
    set_model_state_dict(model, state["model"], options=_TRAINED)
    set_optimizer_state_dict(model, list(optimizers), state["optimizers"], options=_TRAINED)
    kept = json.loads((newest / "progress.json").read_text())
    return Progress(**{**kept, "position": tuple(kept["position"])})


def save_weights(path: Path, model: nn.Module) -> None:
    """The trained weights alone, to come back to. All processes must call it."""
    partial = path.with_name(f"{path.name}.partial")
    if parallel.rank() == 0:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    parallel.wait()
    _quietly(saver.save, {"model": get_model_state_dict(model, options=_TRAINED)}, checkpoint_id=partial)
    if parallel.rank() == 0:
        shutil.rmtree(path, ignore_errors=True)
        partial.replace(path)
    parallel.wait()


def restore_weights(path: Path, model: nn.Module) -> None:
    state = {"model": get_model_state_dict(model, options=_TRAINED)}
    _quietly(loader.load, state, checkpoint_id=path)
    set_model_state_dict(model, state["model"], options=_TRAINED)


def _state(model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, Any]:
    return {
        "model": get_model_state_dict(model, options=_TRAINED),
        "optimizers": get_optimizer_state_dict(model, list(optimizers), options=_TRAINED),
    }


def _quietly(call: Any, *arguments: Any, **named: Any) -> None:
    with warnings.catch_warnings():
        # One process is what is meant.
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        call(*arguments, **named)
