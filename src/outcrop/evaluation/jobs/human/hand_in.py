"""Handing a filled worksheet in, for `outcrop evaluate hand-in`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from outcrop.batch.refused import Refused
from outcrop.batch.submitted import submitted
from outcrop.evaluation.jobs.human.answers import rated
from outcrop.evaluation.jobs.human.run import ANSWERS, exported
from outcrop.evaluation.jobs.output import folder_of, key_of

if TYPE_CHECKING:
    from outcrop.jobs import Job
    from outcrop.objects.objects import Objects


def hand_in(objects: Objects, job: Job, file: Path) -> str:
    """Put the worksheet where the job looks for it; the URI. Problems, and nothing is written, if it is not whole.

    Refused for a job that does not wait for one.
    """
    state = job.state or {}
    if job.ended or state.get("phase") != "Waiting":
        raise Refused(f"The job {job.name} does not wait for a worksheet: it is {job.status}.")
    body = file.read_bytes()
    made = submitted(job)
    folder = folder_of(made)
    rated(exported(objects, folder, state["worksheet"]), body, file.name)
    uri = f"{folder}/{ANSWERS[0] if file.suffix.lower() == '.xlsx' else ANSWERS[1]}"
    objects.put(uri, body, key=key_of(made))
    return uri
