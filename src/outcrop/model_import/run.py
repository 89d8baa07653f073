"""A job that imports a model: its files come from S3, are checked and converted in a process of their own, and it is there.

The checkpoint: `model` (its id from then on) and `phase`. Files that have come whole are kept by a later attempt.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import orjson

from outcrop.batch import rights
from outcrop.batch.attempt import Attempt
from outcrop.batch.refused import Refused, told
from outcrop.batch.submitted import Submitted, arn_of, submitted
from outcrop.context import Parts
from outcrop.errors import AccessDeniedException
from outcrop.jobs import Outcome, completed, failed
from outcrop.model_import.choosing import chosen
from outcrop.models import custom
from outcrop.models.custom import CustomModel
from outcrop.objects.errors import ObjectsError
from outcrop.objects.objects import Objects, Stored, walk
from outcrop.store.ids import new_id
from outcrop.tags import tags

KIND = "model-import-job"
CHUNK_BYTES = 4 * 1024 * 1024
# What must stay free of the disk besides the model and what it is converted to.
SPARE_BYTES = 256 * 1024 * 1024


class ImportRun:
    """Calling it runs an attempt at a job."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, attempt: Attempt) -> Outcome:
        job = submitted(attempt.job)
        state: dict[str, Any] = attempt.state or {"model": new_id(), "phase": "Copying"}
        folder = custom.folder(self._parts.engines.home, state["model"])
        uri = str(job.request["modelDataSource"]["s3DataSource"]["s3Uri"])
        try:
            if attempt.state is None:
                await attempt.checkpoint(state)
            files = await asyncio.to_thread(self.listed, job, uri)
            await self.copied(attempt, job, files, folder)
            attempt.log("checking and converting")
            found = await examined(folder)
            model = self._row(attempt, job, state["model"], found)
            await asyncio.to_thread(self._add, model, job.request.get("importedModelTags", []))
        except (Refused, AccessDeniedException) as problem:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            return failed(str(problem))
        except ObjectsError as problem:
            return failed(str(told(problem, uri)))
        return completed({"model": state["model"], "arn": model.arn})

    def listed(self, job: Submitted, uri: str) -> list[Stored]:
        """The model's files. Blocks. Refused, AccessDeniedException or ObjectsError."""
        allowed = rights.Rights(self._parts.database, job)
        allowed.check(rights.LIST, uri)
        try:
            files = chosen(uri, list(walk(self._objects(job), uri.rstrip("/") + "/")))
        except ObjectsError as problem:
            raise told(problem, uri) from None
        for file in files:
            allowed.check(rights.GET, file.uri)
        return files

    async def copied(self, attempt: Attempt, job: Submitted, files: list[Stored], folder: Path) -> None:
        """Refused if the disk has no room for them."""
        total = sum(file.size for file in files)
        free = await asyncio.to_thread(_room_for, folder)
        if 2 * total + SPARE_BYTES > free:
            raise Refused(
                f"The model has {total / 1e9:.1f} GB and is kept twice, as it came and as it is served; the disk of the data "
                f"folder has {free / 1e9:.1f} GB left."
            )
        attempt.log(f"copying {len(files)} files, {total / 1e6:.0f} MB")
        done = 0
        for file in files:
            await asyncio.to_thread(self._copy, job, file, folder)
            done += file.size
            await attempt.checkpoint(attempt.state, done, total)

    def _copy(self, job: Submitted, file: Stored, folder: Path) -> None:
        target = folder / file.key.rpartition("/")[2]
        # Its name says whose bytes it has, so that a file that was replaced meanwhile is copied anew.
        mark = folder / f".{target.name}.{file.etag[:64]}"
        if mark.exists() and target.exists():
            return
        partial = target.with_name(f".{target.name}.partial")
        with self._objects(job).open(file.uri) as reading, partial.open("wb") as writing:
            for chunk in reading:
                writing.write(chunk)
            writing.flush()
            os.fsync(writing.fileno())
        partial.replace(target)
        mark.touch()

    def _objects(self, job: Submitted) -> Objects:
        return self._parts.objects.of(job.account)

    def _row(self, attempt: Attempt, job: Submitted, model_id: str, found: dict[str, Any]) -> CustomModel:
        now = self._parts.clock()
        return CustomModel(
            id=model_id,
            account=job.account,
            region=job.region,
            kind="imported",
            name=str(job.request["importedModelName"]),
            arn=custom.build_arn("imported", job.region, job.account, model_id, "imported"),
            base_arn=None,
            foundation=None,
            customization_type=None,
            status="Active",
            failure=None,
            serving="own",
            file=found["file"],
            details={
                "jobArn": arn_of(attempt.job),
                "jobName": job.request["jobName"],
                "modelDataSource": job.request["modelDataSource"],
                "modelArchitecture": found["architecture"],
                "instructSupported": found["instruct"],
            },
            client_token=None,
            request_hash=None,
            created_at=now,
            updated_at=now,
        )

    def _add(self, model: CustomModel, given: Any) -> None:
        """Refused if its name was taken meanwhile. An attempt that comes after one that died here finds its model."""
        with self._parts.database.transaction() as transaction:
            if custom.find(transaction, model.id) is not None:
                return
            if custom.named(transaction, model.account, model.region, "imported", model.name) is not None:
                raise Refused(f"An imported model {model.name} exists already.")
            custom.add(transaction, model)
            tags.add(transaction, model.arn, given)
        self._parts.catalogue.refresh()


def _room_for(folder: Path) -> int:
    """Make the folder; the bytes that its disk has left."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return shutil.disk_usage(folder).free


async def examined(folder: Path) -> dict[str, Any]:
    """Refused with the sentence that the process found. RuntimeError if it crashed, which is tried again."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "outcrop.model_import.converting", str(folder)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        said, complaint = await asyncio.gather(process.stdout.read(), process.stderr.read())
        code = await process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if code:
        last = complaint.decode(errors="replace").strip().rpartition("\n")[2]
        raise RuntimeError(f"the model's files could not be read: {last or f'exit {code}'}")
    answer: dict[str, Any] = orjson.loads(said)
    if "refused" in answer:
        raise Refused(answer["refused"])
    return answer
