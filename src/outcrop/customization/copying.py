"""A model copy job: the files of a custom model for another region, or another account that was let have it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from outcrop.batch.attempt import Attempt
from outcrop.context import Parts
from outcrop.customization import folders
from outcrop.jobs import Job, Outcome, completed, failed
from outcrop.models import custom
from outcrop.store.database import Transaction
from outcrop.tags import tags

COPY = "model-copy-job"


class CopyRun:
    """Calling it copies the files; the row is written with the job's end."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, attempt: Attempt) -> Outcome:
        source = custom.find(self._parts.database, attempt.job.input["source"])
        if source is None:
            return failed(f"The model {attempt.job.input['request']['sourceModelArn']} was deleted meanwhile.")
        await asyncio.to_thread(self._copy, source.id, attempt.job.id)
        return completed()

    def _copy(self, source: str, target: str) -> None:
        home = self._parts.engines.home
        shutil.rmtree(custom.folder(home, target), ignore_errors=True)
        folders.link(custom.folder(home, source), custom.folder(home, target))


def target_arn(job: Job) -> str:
    return custom.build_arn("custom", job.region, job.account, job.id, job.input["arn_name"])


def delivering(clock: Callable[[], datetime]) -> Callable[[Transaction, Job], None]:
    def deliver(transaction: Transaction, job: Job) -> None:
        source = custom.find(transaction, job.input["source"])
        if source is None:
            raise ValueError("the model was deleted meanwhile")
        now, given = clock(), job.input["request"]
        model = replace(
            source,
            id=job.id,
            account=job.account,
            region=job.region,
            name=given["targetModelName"],
            arn=target_arn(job),
            details={**source.details, "key": job.input["key"]},
            client_token=None,
            request_hash=None,
            created_at=now,
            updated_at=now,
        )
        custom.add(transaction, model)
        tags.add(transaction, model.arn, given.get("targetModelTags", []))

    return deliver
