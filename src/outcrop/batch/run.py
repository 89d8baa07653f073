"""The life of a batch job: validate, answer all records, write the output. Goes on from its checkpoint.

The checkpoint, JSON: `phase` (Bedrock's status, or "Written"), `inputs` (the attempt that wrote the list of files), `file`,
`line` and `offset` (behind the last record that is in a part), `runs` (the parts), `joined` (files whose output is whole),
`counts` and `end` (the outcome, once the output is whole).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from outcrop.batch import inputs, rights
from outcrop.batch.answering import Answering
from outcrop.batch.asking import Asking, Operations
from outcrop.batch.attempt import Attempt
from outcrop.batch.inputs import InputFile
from outcrop.batch.output import MANIFEST, Output, Runs
from outcrop.batch.pace import Pace
from outcrop.batch.progress import Progress
from outcrop.batch.refused import Refused, Stopped, told
from outcrop.batch.submitted import Submitted, arn_of, submitted
from outcrop.context import Parts
from outcrop.engines.engine import EngineError
from outcrop.errors import AccessDeniedException, AwsError
from outcrop.jobs import Outcome, completed, failed, stopped
from outcrop.objects.errors import ObjectsError

logger = logging.getLogger("outcrop.batch")


class BatchRun:
    """Calling it runs an attempt at a job."""

    def __init__(self, parts: Parts, wire: Operations) -> None:
        self._parts = parts
        self._wire = wire

    async def __call__(self, attempt: Attempt) -> Outcome:
        job = submitted(attempt.job)
        run = _Run(self._parts, self._wire, attempt, job)
        try:
            return await run.whole()
        except Stopped:
            if attempt.stopping:
                return stopped()
            return failed("The job expired before it could start.", {"status": "Expired"})
        except (Refused, AccessDeniedException) as problem:
            return failed(str(problem))
        except ObjectsError as problem:
            return failed(str(told(problem, job.folder)))


class _Run:
    def __init__(self, parts: Parts, wire: Operations, attempt: Attempt, job: Submitted) -> None:
        self._parts = parts
        self._wire = wire
        self._attempt = attempt
        self._job = job
        self._objects = parts.objects.of(job.account)
        self._output = Output(self._objects, job.folder, attempt.number, job.key)
        self._over = _Over(attempt, job.expires_at, parts.clock)

    async def whole(self) -> Outcome:
        state: dict[str, Any] = self._attempt.state or {}
        if state.get("phase") != "Written":
            files = await self._files(state)
            state = await self._answered(files, Progress.of(self._attempt.state))
        return await self._finished(Progress.of(state), state["end"])

    async def _files(self, state: dict[str, Any]) -> list[InputFile]:
        if "inputs" in state:
            return await asyncio.to_thread(self._output.read_inputs, state["inputs"])
        if self._over():
            raise Stopped
        await self._attempt.checkpoint({"phase": "Validating"})
        files = await asyncio.to_thread(self._validate)
        progress = Progress(inputs=self._attempt.number, total=sum(file.records for file in files))
        await self._attempt.checkpoint(progress.state("Scheduled"), 0, progress.total)
        self._attempt.log(f"{progress.total} records in {len(files)} files")
        return files

    def _validate(self) -> list[InputFile]:
        self._resolve()
        allowed = rights.Rights(self._parts.database, self._job)
        allowed.check(rights.PUT, f"{self._job.folder}/{MANIFEST}")
        if not self._job.input_uri.endswith(inputs.SUFFIX):
            allowed.check(rights.LIST, self._job.input_uri)
        try:
            found = inputs.find(self._objects, self._job.input_uri)
            for stored, _ in found:
                allowed.check(rights.GET, stored.uri)
            arn = arn_of(self._attempt.job)
            files = inputs.validated(self._objects, found, self._parts.settings.batch, arn, self._over)
        except ObjectsError as problem:
            raise told(problem, self._job.input_uri) from None
        self._output.write_inputs(files)
        return files

    def _resolve(self) -> str:
        """The id of the model that answers. Refused if there is none any more."""
        try:
            found = self._parts.catalogue.resolve(
                self._job.request["modelId"], account=self._job.account, region=self._job.region
            )
        except AwsError as problem:
            raise Refused(problem.message) from None
        return found.id

    async def _answered(self, files: list[InputFile], progress: Progress) -> dict[str, Any]:
        """The checkpoint once all output is written."""
        model_id = await asyncio.to_thread(self._resolve)
        await self._warm(model_id)
        # Its time may have been over while it waited.
        if self._over() and self._attempt.state["phase"] == "Scheduled":
            raise Stopped
        await self._attempt.checkpoint(progress.state("InProgress"), progress.processed, progress.total)
        pace = Pace(self._parts.engines.room(model_id), self._parts.settings.batch.in_flight)
        asking = Asking(self._parts, self._wire, self._job, pace)
        answering = Answering(self._attempt, self._objects, self._output, files, progress, asking, pace, self._over)
        whole = await answering.all()
        end = "Completed" if whole else "Stopped" if self._attempt.stopping else "PartiallyCompleted"
        await asyncio.to_thread(self._join, files, progress, whole)
        progress.joined, progress.runs = len(files), Runs()
        state = {**progress.state("Written"), "end": end}
        await self._attempt.checkpoint(state, progress.processed, progress.total)
        return state

    async def _warm(self, model_id: str) -> None:
        """A model that does not start is told by each record."""
        try:
            await self._parts.engines.get(model_id).start()
        except EngineError as problem:
            logger.warning("job %s: %s does not start: %s", self._job.id, model_id, problem)

    def _join(self, files: list[InputFile], progress: Progress, whole: bool) -> None:
        for number in range(progress.joined, len(files)):
            if whole or any(progress.runs.of(number)):
                self._output.join(number, files[number].name, progress.runs)

    async def _finished(self, progress: Progress, end: str) -> Outcome:
        await asyncio.to_thread(self._output.write_manifest, progress.manifest())
        await asyncio.to_thread(self._output.tidy)
        if end == "Stopped":
            return stopped()
        return completed({"status": end})


class _Over:
    """Whether to end before all is done: the job was asked to stop, or its time is over. Called from any thread."""

    def __init__(self, attempt: Attempt, expires_at: datetime, clock: Callable[[], datetime]) -> None:
        self._attempt = attempt
        self._expires_at = expires_at
        self._clock = clock

    def __call__(self) -> bool:
        return self._attempt.stopping or self._clock() >= self._expires_at
