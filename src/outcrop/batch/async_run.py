"""The life of an asynchronous invocation: one InvokeModel, and its answer in S3."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import orjson

from outcrop.batch.asking import Asking, Operations
from outcrop.batch.attempt import Attempt
from outcrop.batch.pace import Pace
from outcrop.batch.refused import told
from outcrop.batch.submitted import arn_of, submitted
from outcrop.context import Parts
from outcrop.errors import AwsError
from outcrop.jobs import Outcome, completed, failed
from outcrop.objects.errors import ObjectsError

INPUT, OUTPUT, MANIFEST = ".input.json", "output.json", "manifest.json"
JSON = "application/json"


class AsyncRun:
    """Calling it runs an attempt at a job."""

    def __init__(self, parts: Parts, wire: Operations) -> None:
        self._parts = parts
        self._wire = wire

    async def __call__(self, attempt: Attempt) -> Outcome:
        job = submitted(attempt.job)
        objects = self._parts.objects.of(job.account)
        if attempt.state is not None:
            return completed()
        asking = Asking(self._parts, self._wire, job, Pace(None, 1), tier="default")
        try:
            given = await asyncio.to_thread(objects.get, f"{job.folder}/{INPUT}")
            answer = await asking.answered(given)
            manifest = {"invocationArn": arn_of(attempt.job), "modelArn": job.request["modelArn"], "outputs": [OUTPUT]}
            await asyncio.to_thread(objects.put, f"{job.folder}/{OUTPUT}", answer.body, content_type=JSON, key=job.key)
            await asyncio.to_thread(
                objects.put, f"{job.folder}/{MANIFEST}", orjson.dumps(manifest), content_type=JSON, key=job.key
            )
        except AwsError as problem:
            await asyncio.to_thread(objects.delete, f"{job.folder}/{INPUT}")
            return failed(problem.message)
        except ObjectsError as problem:
            with suppress(ObjectsError):
                await asyncio.to_thread(objects.delete, f"{job.folder}/{INPUT}")
            return failed(str(told(problem, job.folder)))
        # The input stays until the outcome cannot be lost: an attempt that follows a crash needs it.
        await attempt.checkpoint({"answered": True})
        await asyncio.to_thread(objects.delete, f"{job.folder}/{INPUT}")
        return completed()
