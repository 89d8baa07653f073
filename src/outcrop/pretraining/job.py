"""A pretraining job in the words of its operations, and where its files are."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from outcrop import jobs
from outcrop.batch.submitted import arn_of
from outcrop.customization import folders
from outcrop.customization.submitted import status_of
from outcrop.jobs import Job
from outcrop.models import custom
from outcrop.store.database import Database

KIND = "pretraining-job"
FOLDER = "pretraining"


def model_arn(job: Job) -> str:
    return custom.build_arn("imported", job.region, job.account, job.id, "imported")


def summary(job: Job) -> dict[str, Any]:
    given = job.input["request"]
    found = {
        "jobArn": arn_of(job),
        "jobName": given["jobName"],
        "modelName": given["modelName"],
        "status": status_of(job),
        "creationTime": job.created_at,
        "lastModifiedTime": job.updated_at,
    }
    if job.ended_at is not None:
        found["endTime"] = job.ended_at
    if job.status == "completed":
        found["modelArn"] = model_arn(job)
    return found


def folder(home: Path, job_id: str) -> Path:
    """Spec, checkpoint and output of one job; removed when it has ended."""
    return home / FOLDER / job_id


def sweep(home: Path, database: Database) -> None:
    """Remove what jobs left that have ended."""
    kept = {row["id"] for row in database.query("SELECT id FROM jobs WHERE kind = ? AND ended_at IS NULL", KIND)}
    for left in (home / FOLDER).glob("*"):
        if left.name not in kept:
            shutil.rmtree(left, ignore_errors=True)


def tidy(home: Path, database: Database, job: Job) -> bool:
    """Remove what a job leaves behind, and what would have been its model if it did not complete. False: it has not ended."""
    now = jobs.find(database, job.account, job.region, KIND, job.id)
    if now is not None and not now.ended:
        return False
    shutil.rmtree(folder(home, job.id), ignore_errors=True)
    if now is not None and now.status != "completed":
        folders.forget_model(home, job.id)
    return True
