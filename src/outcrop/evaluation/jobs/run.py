"""The life of an evaluation job: its data read and checked, each record answered and scored, the files written."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Sequence
from typing import Any

from outcrop.batch.asking import Operations
from outcrop.batch.attempt import Attempt
from outcrop.batch.refused import Refused, told
from outcrop.batch.rights import GET, PUT, Rights
from outcrop.batch.submitted import arn_of, submitted
from outcrop.context import Parts
from outcrop.errors import AccessDeniedException
from outcrop.evaluation.jobs import answers as kept
from outcrop.evaluation.jobs import built_in, records, report
from outcrop.evaluation.jobs.answers import Answers
from outcrop.evaluation.jobs.asking import Asking
from outcrop.evaluation.jobs.evaluating import Evaluating
from outcrop.evaluation.jobs.human import run as human
from outcrop.evaluation.jobs.human.run import Human
from outcrop.evaluation.jobs.models import named_arn
from outcrop.evaluation.jobs.output import Output
from outcrop.evaluation.jobs.plan import DatasetPlan, Plan, plan_of
from outcrop.evaluation.jobs.records import Record
from outcrop.evaluation.jobs.scored import Scored
from outcrop.evaluation.jobs.summary import summary
from outcrop.jobs import Outcome, completed, failed, stopped
from outcrop.objects.errors import ObjectsError

# How many jobs one server may hold, those included that wait for people.
WAITING = 1000

CHECKPOINT_SECONDS = 3.0
INVOKE = "bedrock:InvokeModel"


class EvaluationRun:
    """Calling it runs an attempt at a job. As many jobs as the settings say ask at a time; those that wait for people
    take no place.
    """

    def __init__(self, parts: Parts, wire: Operations) -> None:
        self._parts = parts
        self._wire = wire
        self._places = asyncio.Semaphore(max(1, parts.settings.evaluation.at_once))

    async def __call__(self, attempt: Attempt) -> Outcome:
        run = _Run(self._parts, self._wire, attempt, self._places)
        try:
            return await _until_stopped(attempt, run)
        except (Refused, AccessDeniedException) as problem:
            return failed(str(problem))
        except ObjectsError as problem:
            return failed(str(told(problem, run.output.folder)))


async def _until_stopped(attempt: Attempt, run: _Run) -> Outcome:
    """What is being written is written out; all else ends at once when the job is asked to stop."""
    work = asyncio.create_task(run.whole())
    stop = asyncio.create_task(_asked_to_stop(attempt))
    try:
        await asyncio.wait({work, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done() and not run.writing:
            return stopped()
        return await work
    finally:
        for task in (work, stop):
            task.cancel()
        await asyncio.gather(work, stop, return_exceptions=True)


async def _asked_to_stop(attempt: Attempt) -> None:
    while not attempt.stopping:
        attempt.changed.clear()
        if not attempt.stopping:
            await attempt.changed.wait()


class _Run:
    def __init__(self, parts: Parts, wire: Operations, attempt: Attempt, places: asyncio.Semaphore) -> None:
        self._parts = parts
        self._wire = wire
        self._attempt = attempt
        self._places = places
        self._job = submitted(attempt.job)
        self._plan: Plan = plan_of(self._job.request)
        self._objects = parts.objects.of(self._job.account)
        self._state: dict[str, Any] = dict(attempt.state or {})
        self.output = Output(self._objects, self._job)
        self._human = Human(parts, attempt, self._job, self._plan, self.output)
        self._writing = False

    @property
    def writing(self) -> bool:
        return self._writing or self._human.writing

    async def whole(self) -> Outcome:
        if self._state.get("phase") == "Waiting":
            return await self._human.handed_in()
        async with self._places:
            data = await self._data()
            evaluating = await asyncio.to_thread(self._evaluating)
            try:
                rows = await self._progressing(evaluating, evaluating.all(data))
            finally:
                await evaluating.close()
        self._check_any_answered(rows)
        if self._plan.human:
            await self._human.exported(rows)
            return await self._human.handed_in()
        self._writing = True
        # An attempt that was overtaken meanwhile ends here.
        await self._attempt.checkpoint({**self._state, "phase": "Writing"})
        await asyncio.to_thread(self._write, rows, evaluating)
        return completed()

    async def _data(self) -> list[list[Record]]:
        """The records of each data set, as the first attempt saw them."""
        found = await asyncio.to_thread(self._read)
        etags = {uri: etag for uri, (etag, _) in found.items()}
        seen = self._state.get("etags")
        if seen is not None and seen != etags:
            raise Refused("A dataset was changed or deleted while the job ran.")
        self._state = {**self._state, "phase": "InProgress", "etags": etags}
        data = [await asyncio.to_thread(self._records, one, found) for one in self._plan.datasets]
        total = sum(map(len, data))
        if total > records.MOST_PROMPTS:
            raise Refused(f"The datasets have {total} prompts; a job takes {records.MOST_PROMPTS}.")
        await self._attempt.checkpoint(self._state, 0, total * len(self._plan.models))
        self._attempt.log(f"{total} prompts in {len(data)} datasets")
        return data

    def _read(self) -> dict[str, tuple[str, bytes]]:
        rights = Rights(self._parts.database, self._job)
        rights.check(PUT, f"{self.output.folder}/outcrop/summary.json")
        for identifier in self._plan.asked:
            Asking.resolved(self._parts, self._job, identifier)
            rights.check_model(INVOKE, named_arn(identifier, self._job.account, self._job.region))
        if self._plan.human:
            rights.check(GET, f"{self.output.folder}/{human.ANSWERS[0]}")
        uris = list(dict.fromkeys(one.uri for one in self._plan.datasets if one.uri is not None))
        for uri in uris:
            rights.check(GET, uri)
        return {uri: records.fetched(self._objects, uri) for uri in uris}

    def _records(self, dataset: DatasetPlan, found: dict[str, tuple[str, bytes]]) -> list[Record]:
        if dataset.uri is None:
            return built_in.loaded(self._parts.settings.evaluation, dataset)
        sources = [model.source for model in self._plan.models if model.source is not None]
        return records.records(found[dataset.uri][1], dataset.uri, sources, self._plan.rag)

    def _evaluating(self) -> Evaluating:
        settings = self._parts.settings.evaluation
        database = self._parts.database
        kept.sweep(database, settings.keep_hours, self._parts.clock())
        known = Answers(database, self._job.account, self._job.region, self._job.id)

        def asking(identifier: str) -> Asking:
            return Asking(self._parts, self._wire, self._job, identifier, known)

        return Evaluating(self._parts, self._plan, asking)

    async def _progressing(
        self, evaluating: Evaluating, work: Coroutine[Any, Any, list[list[Scored]]]
    ) -> list[list[Scored]]:
        """Says how far it is while it works."""
        before = int(self._state.get("kept", 0))
        task = asyncio.create_task(work)
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=CHECKPOINT_SECONDS)
                # It has got further, and is not ended for its crashes, if answers were kept.
                self._state = {**self._state, "kept": before + evaluating.kept}
                await self._attempt.checkpoint(self._state, evaluating.done, evaluating.total)
            return await task
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def _check_any_answered(self, rows: Sequence[Sequence[Scored]]) -> None:
        every = [row for some in rows for row in some]
        if every and all(row.failure is not None for row in every):
            raise Refused(f"None of the {len(every)} prompts was answered. The first: {every[0].failure}")

    def _write(self, rows: Sequence[Sequence[Scored]], evaluating: Evaluating) -> None:
        summaries = []
        (model,) = self._plan.models
        for dataset, some in zip(self._plan.datasets, rows, strict=True):
            self.output.write_scores(dataset, model, some, self._plan.rag is not None)
            summaries.append(summary(dataset, model, some, dataset.metrics))
        config = self._job.request["evaluationConfig"]["automated"]
        customs = config.get("customMetricConfig", {}).get("customMetrics", [])
        self.output.write_custom_metrics(one["customMetricDefinition"] for one in customs)
        whole = {
            "jobArn": arn_of(self._attempt.job),
            "jobName": self._job.request["jobName"],
            "datasets": summaries,
            "asked": evaluating.usage(),
        }
        report.write(self.output, whole, self._plan, rows, evaluating.judges)
