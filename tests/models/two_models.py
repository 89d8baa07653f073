"""Two models that say who they are: a small one, and a large one of better quality."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from outcrop.settings import ModelSpec
from tests.inference import bench as benches
from tests.inference.bench import REGION, Bench, Prepared, says, settings

SMALL, LARGE = "test.small-v1:0", "test.large-v1:0"

EASY = "Hello!"
HARD = (
    "Prove that the square root of 3 is not a fraction of two integers. Justify each step, explain why it is needed, and "
    "compare the proof with that for the square root of 2.\n1. Which theorem is used?\n2. Which steps can be left out?"
)


def arn_of(model_id: str) -> str:
    return f"arn:aws:bedrock:{REGION}::foundation-model/{model_id}"


def two_models(folder: Path, **changes: Any) -> Bench:
    """`changes` are settings of the large one."""
    specs = (
        ModelSpec(id=SMALL, engine="scripted", quality=0.2),
        ModelSpec(**{"id": LARGE, "engine": "scripted", "quality": 0.9, **changes}),
    )
    bench = benches.bench(folder, chosen=settings(models=specs))
    bench.pool.engines = {SMALL: Prepared(says("small")), LARGE: Prepared(says("large"))}
    return bench
