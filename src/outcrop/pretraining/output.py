"""What a pretraining job leaves in the user's bucket: what it was made by, how it went and what it can do. Weights stay here."""

from __future__ import annotations

from pathlib import Path

from outcrop.batch.refused import told
from outcrop.batch.rights import PUT, Rights
from outcrop.objects.errors import ObjectsError
from outcrop.objects.objects import Objects
from outcrop.pretraining.job import KIND
from outcrop.training.customizing.spec import LOSS_PLOT, TRAINING_METRICS
from outcrop.training.pretraining_job import RECIPE

_RUN = {RECIPE: "application/toml", TRAINING_METRICS: "text/csv", LOSS_PLOT: "image/svg+xml"}
_MODEL = {
    "MODEL_CARD.md": "text/markdown",
    "evaluation.json": "application/json",
    "comparison.json": "application/json",
}


def deliver(objects: Objects, rights: Rights, uri: str, job_id: str, out: Path, model: Path) -> None:
    """Blocks. Written over what an earlier attempt wrote. Refused, AccessDeniedException, or ObjectsError that may pass."""
    files = [(out / name, kind) for name, kind in _RUN.items()] + [
        (model / name, kind) for name, kind in _MODEL.items()
    ]
    for file, content_type in files:
        if not file.exists():
            continue
        target = f"{uri.rstrip('/')}/{KIND}-{job_id}/{file.name}"
        rights.check(PUT, target)
        try:
            objects.put(target, file, content_type=content_type)
        except ObjectsError as problem:
            raise told(problem, target) from None
