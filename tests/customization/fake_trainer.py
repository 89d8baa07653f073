"""A trainer that trains nothing: it says what the real one says, and behaves as its training data tell it to.

A record whose prompt is `steps N`, `slow SECONDS`, `crash at N`, `refuse` or `fail` is an instruction. What it leaves is
an adapter of noise for the house model, or the house model itself as a model of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

from outcrop.encryption import working

STEPS = 6


def main(path: Path) -> None:
    spec = json.loads(path.read_bytes())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    code = _trained(spec, Path(spec["out"]))
    os._exit(code)


def _trained(spec: dict[str, Any], out: Path) -> int:
    out.mkdir(parents=True, exist_ok=True)
    with (out / "starts").open("a") as starts:
        starts.write("start\n")
    asked = _instructions(spec["training"])
    tell({"type": "phase", "name": "data_processing"})
    if "refuse" in asked:
        name = Path(spec["training"][0]).name
        tell({"type": "invalid", "problems": [f"{name} line {n}: The record has no completion." for n in (2, 5)]})
        return 2
    if "fail" in asked:
        tell({"type": "failed", "reason": "The loss is not a number."})
        return 3
    print("a library prints this", flush=True)
    records = 0
    for one in spec["training"]:
        with working.opened(Path(one), os.environ.get(working.VARIABLE)) as file:
            records += sum(1 for _ in file)
    tell({"type": "line", "text": f"{records} records"})
    tell({"type": "phase", "name": "training"})
    steps = int(asked.get("steps", STEPS))
    checkpoint = out / "checkpoint"
    first = int(checkpoint.read_text()) + 1 if checkpoint.exists() else 1
    for step in range(first, steps + 1):
        time.sleep(float(asked.get("slow", 0)))
        loss = 4.0 / step
        tell({"type": "progress", "step": step, "steps": steps, "epoch": 1, "loss": loss, "tokens": 10 * step,
              "tokens_per_second": 900.0})  # fmt: skip
        checkpoint.write_text(str(step))
        if asked.get("crash at") == str(step) and first == 1:
            os._exit(9)
    tell({"type": "validation", "step": steps, "epoch": 1, "loss": 1.25})
    tell({"type": "phase", "name": "exporting"})
    tell({"type": "done", "result": _result(spec, out, steps)})
    return 0


def _result(spec: dict[str, Any], out: Path, steps: int) -> dict[str, Any]:
    from outcrop.models.specs import house_path
    from tests.engines.adapters import noise

    # The weights of a job's model are its own, and the same whenever it is trained.
    seed = sum(spec["name"].encode())
    (out / "step_wise_training_metrics.csv").write_text("step_number,epoch_number,training_loss,perplexity\n1,1,4,54\n")
    (out / "validation_metrics.csv").write_text("step_number,epoch_number,validation_loss,perplexity\n6,1,1.25,3.5\n")
    (out / "loss.svg").write_text("<svg/>")
    result: dict[str, Any] = {
        "method": spec["method"], "base": spec["base"], "model_gguf": None, "adapter_gguf": None, "adapter": None,
        "folder": None, "training_loss": 4.0 / steps, "validation_losses": [1.25] if spec["validation"] else [],
        "steps": steps, "best_step": steps, "tokens": 60, "seconds": 1.0, "stopped_early": False,
    }  # fmt: skip
    if spec["method"] == "full" or spec.get("merge"):
        shutil.copy(house_path(), out / "model.gguf")
        return {**result, "model_gguf": str(out / "model.gguf")}
    (out / "adapter").mkdir(exist_ok=True)
    (out / "adapter" / "adapter_config.json").write_text("{}")
    noise(out / "adapter.gguf", seed)
    return {**result, "adapter_gguf": str(out / "adapter.gguf"), "adapter": str(out / "adapter")}


def _instructions(paths: list[str]) -> dict[str, str]:
    """The first record of all files says what to do; parts are separated by commas."""
    with working.opened(Path(paths[0]), os.environ.get(working.VARIABLE)) as file:
        first = json.loads(file.readline())
    found = {}
    for part in str(first.get("prompt", "")).split(","):
        name, _, value = part.strip().rpartition(" ")
        found[name or value] = value
    return found


def tell(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def _end_with_parent() -> None:
    while os.read(0, 4096):
        pass
    os._exit(1)
