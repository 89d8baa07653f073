"""An attempt at a pretraining job, on the server's loop: a trainer of its own, output, model."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from outcrop.batch.attempt import Attempt
from outcrop.batch.refused import Refused, Stopped, told
from outcrop.batch.rights import Rights
from outcrop.batch.submitted import arn_of, submitted
from outcrop.context import Parts
from outcrop.customization import folders, trainer
from outcrop.errors import AccessDeniedException
from outcrop.jobs import Job, Outcome, completed, failed, stopped
from outcrop.models import custom
from outcrop.objects.errors import ObjectsError
from outcrop.pretraining import output
from outcrop.pretraining.job import folder, model_arn, sweep, tidy
from outcrop.store.database import Transaction
from outcrop.tags import tags
from outcrop.training.pretraining_job import MODULE, Spec

TIDY_SECONDS, TIDY_TRIES = 0.5, 120
GGUF, HUGGING_FACE = "model.gguf", "model"
ARCHITECTURE = "LlamaForCausalLM"

# Spec and log → what is said.
Follow = Callable[[Path, Path], AsyncGenerator[Mapping[str, Any], Any]]


def _trainer(spec: Path, log: Path) -> AsyncGenerator[Mapping[str, Any], Any]:
    return trainer.messages(spec, log, module=MODULE)


class PretrainingRun:
    """Calling it runs an attempt at a job. `follow` runs a trainer."""

    def __init__(self, parts: Parts, follow: Follow = _trainer) -> None:
        self._parts = parts
        self._follow = follow
        self._tidying: set[asyncio.Task[None]] = set()

    async def __call__(self, attempt: Attempt) -> Outcome:
        await asyncio.to_thread(sweep, self._parts.engines.home, self._parts.database)
        try:
            return await _Run(self._parts, self._follow, attempt).whole()
        except Stopped:
            return stopped()
        except (Refused, AccessDeniedException) as problem:
            return failed(str(problem))
        except ObjectsError as problem:
            return failed(str(told(problem, attempt.job.input["request"]["outputDataConfig"]["s3Uri"])))
        finally:
            task = asyncio.create_task(self._tidy(attempt.job))
            self._tidying.add(task)
            task.add_done_callback(self._tidying.discard)

    async def _tidy(self, job: Job) -> None:
        for _ in range(TIDY_TRIES):
            await asyncio.sleep(TIDY_SECONDS)
            if await asyncio.to_thread(tidy, self._parts.engines.home, self._parts.database, job):
                return


class _Run:
    def __init__(self, parts: Parts, follow: Follow, attempt: Attempt) -> None:
        self._parts = parts
        self._follow = follow
        self._attempt = attempt
        self._job = attempt.job
        self._given: Mapping[str, Any] = attempt.job.input["request"]
        self._home = parts.engines.home
        self._folder = folder(self._home, attempt.job.id)
        self._state: dict[str, Any] = attempt.state or {}
        self._far: tuple[float, float | None, Mapping[str, float | None]] | None = None

    async def whole(self) -> Outcome:
        if self._attempt.stopping:
            raise Stopped
        result = await self._trained()
        await self._move("delivering", result=result)
        await asyncio.to_thread(self._deliver, Path(result["folder"]), str(result["name"]))
        return completed({**result, "model_arn": model_arn(self._job)})

    @property
    def _out(self) -> Path:
        return self._folder / "out"

    async def _trained(self) -> dict[str, Any]:
        """The trainer's result. Refused with what it says of its failure, or if its time is over; Stopped."""
        if self._state.get("phase") == "delivering":
            return dict(self._state["result"])
        spec = await asyncio.to_thread(self._written_spec)
        following, ending = asyncio.create_task(self._followed(spec)), asyncio.create_task(self._ended_before())
        try:
            await asyncio.wait({following, ending}, return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                await ending
            return await following
        finally:
            following.cancel()
            ending.cancel()
            await asyncio.gather(following, ending, return_exceptions=True)

    def _written_spec(self) -> Path:
        settings, path = self._parts.settings.customization, self._folder / "spec.json"
        spec = Spec(str(self._given["recipe"]), str(self._out), settings.threads, settings.checkpoint_seconds)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = path.with_suffix(".new")
        beside.write_bytes(msgspec.json.encode(spec))
        beside.replace(path)
        return path

    async def _followed(self, spec: Path) -> dict[str, Any]:
        log = self._home / "logs" / "pretraining" / f"{self._job.id}.log"
        async with aclosing(self._follow(spec, log)) as said:
            async for message in said:
                if (result := await self._heard(message)) is not None:
                    return result
        raise trainer.TrainerCrashed("the trainer said nothing of how it ended")

    async def _ended_before(self) -> None:
        """Raises Stopped when the job is asked to stop, Refused when its time is over."""
        hours = self._parts.settings.customization.longest_pretraining_hours
        began = self._job.started_at or self._job.created_at
        left = (began + timedelta(hours=hours) - self._parts.clock()).total_seconds()
        try:
            async with asyncio.timeout(max(0.0, left)):
                while not self._attempt.stopping:
                    self._attempt.changed.clear()
                    await self._attempt.changed.wait()
        except TimeoutError:
            raise Refused(f"The training took more than {hours:g} hours, the most on this server.") from None
        raise Stopped

    async def _heard(self, message: Mapping[str, Any]) -> dict[str, Any] | None:
        match message["type"]:
            case "phase":
                await self._move(message["name"])
            case "progress":
                metrics = {name: message.get(name) for name in ("loss", "tokens_per_second", "step")}
                self._far = message["tokens"], message["total_tokens"], metrics
                self._attempt.progress(*self._far)
            case "line":
                self._attempt.log(str(message["text"]))
            case "failed":
                raise Refused(f"The training failed. {message['reason']}")
            case "done":
                return dict(message["result"])
        return None

    async def _move(self, phase: str, **more: Any) -> None:
        self._state = {**self._state, "phase": phase, **more}
        await self._attempt.checkpoint(self._state)
        self._attempt.log(phase.replace("_", " "))
        # A checkpoint tells of no progress, and there was some.
        if self._far is not None:
            self._attempt.progress(*self._far)

    def _deliver(self, made: Path, name: str) -> None:
        """The model's files to where it is served from, and output to where the request says. Done again after a crash."""
        taken = custom.named(
            self._parts.database, self._job.account, self._job.region, "imported", self._given["modelName"]
        )
        if taken is not None:
            raise Refused(f"An imported model {self._given['modelName']} exists already.")
        target = custom.folder(self._home, self._job.id)
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(mode=0o700, parents=True)
        folders.link(made, target / HUGGING_FACE)
        (target / HUGGING_FACE / f"{name}.gguf").replace(target / GGUF)
        if "outputDataConfig" in self._given:
            rights = Rights(self._parts.database, submitted(self._job))
            objects = self._parts.objects.of(self._job.account)
            output.deliver(objects, rights, self._given["outputDataConfig"]["s3Uri"], self._job.id, self._out, made)


def delivering(clock: Callable[[], datetime]) -> Callable[[Transaction, Job], None]:
    """What is called in the transaction that completes a job: the model is there if and only if it completed."""

    def deliver(transaction: Transaction, job: Job) -> None:
        given, now = job.input["request"], clock()
        model = custom.CustomModel(
            id=job.id,
            account=job.account,
            region=job.region,
            kind="imported",
            name=given["modelName"],
            arn=job.result["model_arn"],
            base_arn=None,
            foundation=None,
            customization_type=None,
            status="Active",
            failure=None,
            serving="own",
            file=GGUF,
            details={
                "jobName": given["jobName"],
                "jobArn": arn_of(job),
                "modelArchitecture": ARCHITECTURE,
                "instructSupported": True,
            },
            client_token=None,
            request_hash=None,
            created_at=now,
            updated_at=now,
        )
        custom.add(transaction, model)
        tags.add(transaction, model.arn, given.get("tags", []))

    return deliver
