"""A customization job as it was submitted, and how far it is, in Bedrock's words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from outcrop.identity import arns
from outcrop.jobs import Job, Status

JOB = "model-customization-job"
# The parts of `statusDetails`, in their order, and the trainer's and our own phases in which each is under way.
PARTS: Mapping[str, tuple[str, ...]] = {
    "validationDetails": ("validation",),
    "dataProcessingDetails": ("data_processing",),
    "trainingDetails": ("training", "exporting", "delivering"),
}
# Which statuses of a job each of Bedrock's may stand for.
POSSIBLE: Mapping[str, tuple[Status, ...]] = {
    "InProgress": ("queued", "running"),
    "Stopping": ("stopping",),
    "Stopped": ("stopped",),
    "Completed": ("completed",),
    "Failed": ("failed",),
}


def status_of(job: Job) -> str:
    return next(name for name, statuses in POSSIBLE.items() if job.status in statuses)


def arn_of(job: Job) -> str:
    return arns.build(JOB, job.region, job.account, model=job.input["base"]["arn_name"], id12=job.id)


def moved(state: Mapping[str, Any], phase: str, now: datetime) -> dict[str, Any]:
    """The state of a job that is in this phase from now on: parts before it are over."""
    moment = now.isoformat(timespec="milliseconds")
    before: Mapping[str, list[str]] = state.get("parts", {})
    parts: dict[str, list[str]] = {}
    reached = list(PARTS).index(next(part for part, phases in PARTS.items() if phase in phases))
    for place, part in enumerate(PARTS):
        status, began, changed = before.get(part, ["NotStarted", moment, moment])
        if place < reached and status != "Completed":
            status, changed = "Completed", moment
        elif place == reached and status == "NotStarted":
            status, began, changed = "InProgress", moment, moment
        if status != "NotStarted":
            parts[part] = [status, began, changed]
    return {**state, "phase": phase, "parts": parts}


def details_of(job: Job) -> dict[str, Any]:
    """`statusDetails`: a part that was under way ends as the job does."""
    parts: Mapping[str, list[str]] = (job.state or {}).get("parts", {})
    details: dict[str, Any] = {}
    for part in PARTS:
        if part not in parts:
            details[part] = {"status": "NotStarted"}
            continue
        status, began, changed = parts[part]
        at = datetime.fromisoformat(changed)
        if status == "InProgress" and job.status not in ("queued", "running"):
            status, at = status_of(job), job.ended_at or job.updated_at
        details[part] = {"status": status, "creationTime": datetime.fromisoformat(began), "lastModifiedTime": at}
    return details
