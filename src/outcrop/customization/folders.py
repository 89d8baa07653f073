"""Where the files of customization lie in the data folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from outcrop import jobs
from outcrop.customization.submitted import JOB
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


def sweep(home: Path, database: Database) -> None:
    """Remove what jobs left that have ended, and folders of no job."""
    kept = {row["id"] for row in database.query("SELECT id FROM jobs WHERE kind = ? AND ended_at IS NULL", JOB)}
    for folder in (home / FOLDER).glob("*"):
        if folder.name not in kept:
            shutil.rmtree(folder, ignore_errors=True)


def has_ended(database: Database, account: str, region: str, job_id: str) -> bool:
    job = jobs.find(database, account, region, JOB, job_id)
    return job is None or job.ended
