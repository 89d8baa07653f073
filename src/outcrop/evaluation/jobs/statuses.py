"""The status of an evaluation job in Bedrock's words."""

from __future__ import annotations

from collections.abc import Mapping

from outcrop.jobs import Job, Status

POSSIBLE: Mapping[str, tuple[Status, ...]] = {
    "InProgress": ("queued", "running"),
    "Stopping": ("stopping",),
    "Stopped": ("stopped",),
    "Completed": ("completed",),
    "Failed": ("failed",),
    # A job that is deleted is gone at once.
    "Deleting": (),
}
_WORDS: Mapping[Status, str] = {status: word for word, statuses in POSSIBLE.items() for status in statuses}
TERMINAL = frozenset({"Completed", "Failed", "Stopped"})


def status_of(job: Job) -> str:
    return _WORDS[job.status]
