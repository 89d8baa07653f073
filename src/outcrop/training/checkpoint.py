"""Checkpoints: distributed ones (DCP), which any number of processes can read, with the progress beside them as JSON.

`checkpoint/step-N` is whole or not there: it is written as `step-N.partial` and renamed.
"""

from __future__ import annotations

import json
import os
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
        with (partial / "progress.json").open("w") as file:
            file.write(json.dumps(asdict(progress)))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
        for other in folder.iterdir():
            if other not in (target, _best(out, progress.notes.get("best_step", 0))):
                shutil.rmtree(other)
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


def save_best(out: Path, step: int, model: nn.Module) -> None:
    """The trained weights alone, to come back to. All processes must call it.

    They are named by their step, because a restart from an older checkpoint must not find later ones; a checkpoint keeps
    those that its `notes` name as `best_step`.
    """
    path = _best(out, step)
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


def restore_best(out: Path, step: int, model: nn.Module) -> None:
    state = {"model": get_model_state_dict(model, options=_TRAINED)}
    _quietly(loader.load, state, checkpoint_id=_best(out, step))
    set_model_state_dict(model, state["model"], options=_TRAINED)


def _best(out: Path, step: int) -> Path:
    return out / FOLDER / f"best-{step}"


def _state(model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, Any]:
    parallel.reshard(model)
    return {
        "model": get_model_state_dict(model, options=_TRAINED),
        "optimizers": get_optimizer_state_dict(model, list(optimizers), options=_TRAINED),
    }


def _quietly(call: Any, *arguments: Any, **named: Any) -> None:
    with warnings.catch_warnings():
        # One process is what is meant.
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        call(*arguments, **named)
