"""CreateCustomModel's job: a model's files come from S3, are checked and converted, and the model is active."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable
from datetime import datetime

from outcrop.batch.attempt import Attempt
from outcrop.batch.refused import Refused, told
from outcrop.batch.submitted import submitted
from outcrop.context import Parts
from outcrop.errors import AccessDeniedException
from outcrop.jobs import Job, Outcome, completed
from outcrop.model_import.run import ImportRun, examined
from outcrop.models import custom
from outcrop.objects.errors import ObjectsError
from outcrop.store.database import Transaction

CREATING = "custom-model-creating"
# What went wrong once or twice may pass.
CRASHES = 2

logger = logging.getLogger("outcrop.customization")


class CreatingRun:
    """Calling it brings the files of the model that the job is called by; how that ended is written with the job's end."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._import = ImportRun(parts)

    async def __call__(self, attempt: Attempt) -> Outcome:
        job = submitted(attempt.job)
        folder = custom.folder(self._parts.engines.home, attempt.job.id)
        uri = str(job.request["modelSourceConfig"]["s3DataSource"]["s3Uri"])
        try:
            files = await asyncio.to_thread(self._import.listed, job, uri)
            await self._import.copied(attempt, job, files, folder)
            found = await examined(folder)
        except (Refused, AccessDeniedException) as problem:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            return completed({"failure": str(problem)})
        except ObjectsError as problem:
            return completed({"failure": str(told(problem, uri))})
        except Exception:
            if attempt.job.crashes < CRASHES:
                raise
            logger.exception("a custom model cannot be created")
            return completed({"failure": "The model's files could not be read."})
        return completed({"failure": None, "file": found["file"]})


def delivering(clock: Callable[[], datetime]) -> Callable[[Transaction, Job], None]:
    def deliver(transaction: Transaction, job: Job) -> None:
        custom.settle(transaction, job.id, clock(), failure=job.result["failure"], file=job.result.get("file", ""))

    return deliver
