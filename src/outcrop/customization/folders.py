"""Where the files of customization lie in the data folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from outcrop import jobs
from outcrop.customization.submitted import JOB
from outcrop.engines.weights import converted_name
from outcrop.jobs import Job
from outcrop.models import custom, held
from outcrop.store.database import Database

FOLDER = "customization"


def of_job(home: Path, job_id: str) -> Path:
    """Data, spec, checkpoint and output of one job; removed when it has ended."""
    return home / FOLDER / job_id


def link(source: Path, target: Path) -> None:
    """The files of a folder, or one file, without a second copy where the file system can."""
    if source.is_dir():
        shutil.copytree(source, target, copy_function=_linked)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        _linked(str(source), str(target))


def _linked(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target


def forget_model(home: Path, model_id: str) -> None:
    """Remove the files of a custom model, and what an engine made of them."""
    folder = custom.folder(home, model_id)
    for weights in (folder, folder / "model"):
        if (weights / "config.json").exists():
            (home / "converted" / converted_name(weights)).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def sweep(home: Path, database: Database) -> None:
    """Remove what jobs left that have ended, folders of no job, and what killed backups left."""
    held.sweep(home / custom.FOLDER)
    kept = {row["id"] for row in database.query("SELECT id FROM jobs WHERE kind = ? AND ended_at IS NULL", JOB)}
    for folder in (home / FOLDER).glob("*"):
        if folder.name not in kept:
            shutil.rmtree(folder, ignore_errors=True)


def tidy(home: Path, database: Database, job: Job) -> bool:
    """Remove what a job leaves behind, and what would have been its model if it did not complete. False: it has not ended."""
    now = jobs.find(database, job.account, job.region, JOB, job.id)
    if now is not None and not now.ended:
        return False
    shutil.rmtree(of_job(home, job.id), ignore_errors=True)
    if now is not None and now.status != "completed":
        forget_model(home, job.id)
    return True
