"""What a customization job leaves in the user's bucket, laid out as AWS lays it out."""

from __future__ import annotations

from pathlib import Path

from outcrop.batch.refused import told
from outcrop.batch.rights import PUT, Rights
from outcrop.objects.errors import ObjectsError
from outcrop.objects.objects import Objects
from outcrop.training.customizing.spec import (
    LOSS_PLOT,
    MEASURES,
    REWARD_METRICS,
    TRAINING_METRICS,
    VALIDATION_METRICS,
)

# Where each file of the trainer's output goes, below the folder of the job.
PLACES = {
    TRAINING_METRICS: (f"training_artifacts/{TRAINING_METRICS}", "text/csv"),
    VALIDATION_METRICS: (
        f"validation_artifacts/post_fine_tuning_validation/validation/{VALIDATION_METRICS}",
        "text/csv",
    ),
    REWARD_METRICS: (f"training_artifacts/{REWARD_METRICS}", "text/csv"),
    MEASURES: (f"training_artifacts/{MEASURES}", "application/json"),
    LOSS_PLOT: (f"training_artifacts/{LOSS_PLOT}", "image/svg+xml"),
}


def deliver_output(objects: Objects, rights: Rights, uri: str, job_id: str, out: Path) -> None:
    """Blocks. Written over what an earlier attempt wrote. Refused or AccessDeniedException."""
    folder = f"{uri.rstrip('/')}/model-customization-job-{job_id}"
    for name, (place, content_type) in PLACES.items():
        if not (out / name).exists():
            continue
        target = f"{folder}/{place}"
        rights.check(PUT, target)
        try:
            objects.put(target, out / name, content_type=content_type)
        except ObjectsError as problem:
            raise told(problem, target) from None
