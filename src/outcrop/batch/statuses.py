"""The status of a batch job in Bedrock's words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from outcrop.batch.submitted import submitted
from outcrop.jobs import Job, Status

# Which statuses of a job each of Bedrock's may stand for.
POSSIBLE: Mapping[str, tuple[Status, ...]] = {
    "Submitted": ("queued",),
    "Validating": ("running",),
    "Scheduled": ("running",),
    "InProgress": ("running",),
    "Stopping": ("stopping",),
    "Stopped": ("stopped",),
    "Completed": ("completed",),
    "PartiallyCompleted": ("completed",),
    "Failed": ("failed",),
    "Expired": ("queued", "failed"),
}
TERMINAL = frozenset({"Stopped", "Completed", "PartiallyCompleted", "Failed", "Expired"})


def status_of(job: Job, now: datetime) -> str:
    """One that waited until its time was over has expired, though nobody has come by to write it down."""
    match job.status:
        case "queued":
            return "Expired" if now >= submitted(job).expires_at else "Submitted"
        case "running":
            return str((job.state or {}).get("phase", "Validating"))
        case "stopping":
            return "Stopping"
        case "stopped":
            return "Stopped"
        case "completed":
            return str((job.result or {}).get("status", "Completed"))
        case "failed":
            return str((job.result or {}).get("status", "Failed"))


def counts_of(job: Job) -> dict[str, int]:
    """Records in all, answered or refused, and each of the two; nothing before the input was counted."""
    known: Mapping[str, Any] = (job.state or {}).get("counts") or {}
    if not known:
        return {}
    success, error = int(known["success"]), int(known["error"])
    return {
        "totalRecordCount": int(known["total"]),
        "processedRecordCount": success + error,
        "successRecordCount": success,
        "errorRecordCount": error,
    }
