"""A human evaluation job once its models have answered: the worksheet goes out, and the job waits for it to come back."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from outcrop.batch.attempt import Attempt
from outcrop.batch.refused import PASSING, Refused
from outcrop.batch.submitted import Submitted, arn_of
from outcrop.context import Parts
from outcrop.evaluation.jobs.human import output as written
from outcrop.evaluation.jobs.human import sheet
from outcrop.evaluation.jobs.human.answers import Problems, rated
from outcrop.evaluation.jobs.human.rows import Worksheet, worksheet
from outcrop.evaluation.jobs.models import shown
from outcrop.evaluation.jobs.output import Output
from outcrop.evaluation.jobs.plan import Plan
from outcrop.evaluation.jobs.scored import Scored
from outcrop.evaluation.jobs.summary import summary
from outcrop.jobs import Outcome, completed
from outcrop.objects.errors import ObjectsError

LOOK_SECONDS = 3.0
WORKSHEET = "outcrop/worksheet"
# Where a filled worksheet is looked for.
ANSWERS = ("outcrop/answers.xlsx", "outcrop/answers.csv")
REFUSED = "outcrop/answers-refused.txt"
# What the worksheet is held against when it comes back; its digest is in the job's checkpoint.
EXPORTED = "outcrop/worksheet.json"
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


class Human:
    def __init__(self, parts: Parts, attempt: Attempt, job: Submitted, plan: Plan, output: Output) -> None:
        self._parts = parts
        self._attempt = attempt
        self._job = job
        self._plan = plan
        self._output = output
        self._objects = parts.objects.of(job.account)
        self.writing = False

    async def exported(self, rows: Sequence[Sequence[Scored]]) -> None:
        workflow = self._job.request["evaluationConfig"]["human"]["humanWorkflowConfig"]
        names = [shown(model, self._job.account, self._job.region) for model in self._plan.models]
        made = worksheet(self._job.id, self._plan, workflow.get("instructions", ""), names, rows)
        summaries = [
            summary(dataset, model, some[at * len(some) // len(self._plan.models) :][: len(some) // len(self._plan.models)], ())
            for dataset, some in zip(self._plan.datasets, rows, strict=True)
            for at, model in enumerate(self._plan.models)
        ]  # fmt: skip
        digest = await asyncio.to_thread(self._export, made)
        state = {"phase": "Waiting", "worksheet": digest, "datasets": _without_lists(summaries)}
        await self._attempt.checkpoint(state)
        self._attempt.log(
            f"The worksheet of {len(made.rows)} rows is {self._output.folder}/{WORKSHEET}.xlsx. Fill in its answers and put it "
            f"back as {self._output.folder}/{ANSWERS[0]}"
        )

    def _export(self, made: Worksheet) -> str:
        body = msgspec.json.encode(made)
        self._output.write(EXPORTED, body, "application/json")
        self._output.write(f"{WORKSHEET}.xlsx", sheet.to_xlsx(made), XLSX)
        self._output.write(f"{WORKSHEET}.csv", sheet.to_csv(made), "text/csv; charset=utf-8")
        return hashlib.sha256(body).hexdigest()

    async def handed_in(self) -> Outcome:
        """When a worksheet has come back that is whole."""
        seen: dict[str, str] = dict(self._attempt.state.get("seen", {}))
        while True:
            for name in ANSWERS:
                etag = await asyncio.to_thread(self._etag, name)
                if etag is not None and etag != seen.get(name):
                    seen[name] = etag
                    try:
                        return await self._finished(name)
                    except Problems as problem:
                        await self._refuse(name, problem, seen)
            if self._attempt.state.get("attempt") != self._attempt.number:
                # Servers that die in the weeks of waiting are no crashes of the job: it has looked and goes on waiting.
                await self._attempt.checkpoint({**self._attempt.state, "attempt": self._attempt.number})
            await asyncio.sleep(LOOK_SECONDS)

    async def _finished(self, name: str) -> Outcome:
        made = await asyncio.to_thread(exported, self._objects, self._output.folder, self._attempt.state["worksheet"])
        # One byte more than may be is enough to be refused.
        uri, most = f"{self._output.folder}/{name}", sheet.LARGEST_FILE + 1
        body = await asyncio.to_thread(self._objects.get, uri, 0, most)
        answers = await asyncio.to_thread(rated, made, body, name)
        self.writing = True
        # An attempt that was overtaken meanwhile ends here.
        await self._attempt.checkpoint({**self._attempt.state, "refused": None})
        await asyncio.to_thread(self._write, made, answers)
        return completed()

    def _write(self, made: Worksheet, answers: Sequence[tuple[str, str]]) -> None:
        written.write(self._output, self._job, made, answers, self._parts.clock())
        whole = {
            "jobArn": arn_of(self._attempt.job),
            "jobName": self._job.request["jobName"],
            "datasets": self._attempt.state["datasets"],
            "people": written.figures(made, answers),
        }
        self._output.write_json("outcrop/summary.json", whole)

    async def _refuse(self, name: str, problem: Problems, seen: dict[str, str]) -> None:
        text = f"{name} cannot be taken:\n{problem}\n"
        await asyncio.to_thread(self._output.write, REFUSED, text.encode(), "text/plain; charset=utf-8")
        state: dict[str, Any] = {**self._attempt.state, "seen": seen, "refused": problem.sentences[:20]}
        await self._attempt.checkpoint(state)
        self._attempt.log(f"{name} cannot be taken: {problem.sentences[0]}")

    def _etag(self, name: str) -> str | None:
        try:
            return self._objects.head(f"{self._output.folder}/{name}").etag
        except ObjectsError as problem:
            # Another S3 may be away for a while in the days that people take.
            if problem.code in ("NoSuchKey", *PASSING):
                return None
            raise


def exported(objects: Any, folder: str, digest: str) -> Worksheet:
    """Refused where it is not the one that went out."""
    body = objects.get(f"{folder}/{EXPORTED}")
    if hashlib.sha256(body).hexdigest() != digest:
        raise Refused(f"{folder}/{EXPORTED} was changed, so what came back cannot be held against it.")
    return msgspec.json.decode(body, type=Worksheet)


def _without_lists(summaries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A checkpoint is small."""
    return [{**one, "failures": one["failures"][:20], "failed": len(one["failures"])} for one in summaries]
