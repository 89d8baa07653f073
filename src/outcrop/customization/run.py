"""An attempt at a customization job, on the server's loop: data, trainer, output, model."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec

from outcrop.batch.attempt import Attempt
from outcrop.batch.refused import Refused, Stopped, told
from outcrop.batch.rights import Rights
from outcrop.batch.submitted import submitted
from outcrop.context import Parts
from outcrop.customization import folders, graders, methods, teaching, trainer
from outcrop.customization.asking import Model
from outcrop.customization.bases import Base, Bases
from outcrop.customization.data import Data
from outcrop.customization.graders import Graders
from outcrop.customization.hyperparameters import METHOD, ODDS, SEED, trainers
from outcrop.customization.output import deliver_output
from outcrop.customization.submitted import moved
from outcrop.encryption import working
from outcrop.errors import AccessDeniedException, ValidationException
from outcrop.jobs import Job, Outcome, completed, failed, stopped
from outcrop.models import custom
from outcrop.objects.errors import ObjectsError
from outcrop.training.customizing.spec import Spec

TOLD_EVERY, JUDGED_TOKENS = 100, 8
TIDY_SECONDS, TIDY_TRIES = 0.5, 120

logger = logging.getLogger("outcrop.customization")


class CustomizationRun:
    """Calling it runs an attempt at a job. `follow` runs a trainer."""

    def __init__(self, parts: Parts, follow: trainer.Follow = trainer.messages) -> None:
        self._parts = parts
        self._follow = follow
        self._tidying: set[asyncio.Task[None]] = set()

    async def __call__(self, attempt: Attempt) -> Outcome:
        await asyncio.to_thread(folders.sweep, self._parts.engines.home, self._parts.database)
        run = _Run(self._parts, self._follow, attempt)
        try:
            return await run.whole()
        except Stopped:
            return stopped()
        except (Refused, AccessDeniedException, ValidationException) as problem:
            return failed(str(problem))
        except ObjectsError as problem:
            return failed(str(told(problem, attempt.job.input["request"]["outputDataConfig"]["s3Uri"])))
        finally:
            task = asyncio.create_task(self._tidy(attempt.job))
            self._tidying.add(task)
            task.add_done_callback(self._tidying.discard)

    async def _tidy(self, job: Job) -> None:
        """Training data stays no longer than it is needed; a job that goes on still needs it."""
        for _ in range(TIDY_TRIES):
            await asyncio.sleep(TIDY_SECONDS)
            if await asyncio.to_thread(folders.tidy, self._parts.engines.home, self._parts.database, job):
                return


class _Run:
    def __init__(self, parts: Parts, follow: trainer.Follow, attempt: Attempt) -> None:
        self._parts = parts
        self._follow = follow
        self._attempt = attempt
        self._job = attempt.job
        self._given: Mapping[str, Any] = attempt.job.input["request"]
        self._home = parts.engines.home
        self._folder = folders.of_job(self._home, attempt.job.id)
        self._state: dict[str, Any] = attempt.state or {}
        self._far: tuple[float, float | None, Mapping[str, float | None]] | None = None
        self._grading: Graders | None = None

    async def whole(self) -> Outcome:
        spec = await self._prepared()
        result = await self._trained(spec)
        await self._move("delivering", result=result)
        await asyncio.to_thread(self._keep_files, result)
        rights = Rights(self._parts.database, submitted(self._job))
        await asyncio.to_thread(
            deliver_output, self._objects, rights, self._given["outputDataConfig"]["s3Uri"], self._job.id, self._out
        )
        return completed({**self._kept(result), **_metrics(result)})

    @property
    def _out(self) -> Path:
        return self._folder / "out"

    @property
    def _files_key(self) -> str | None:
        """Of the training data. It stands in the checkpoint, which is encrypted with the account's."""
        found: str | None = self._state.get("files_key")
        return found

    @property
    def _objects(self) -> Any:
        return self._parts.objects.of(self._job.account)

    async def _prepared(self) -> Path:
        """The trainer's spec, with the data that it names; made once, so that a later attempt goes on with the same."""
        path = self._folder / "spec.json"
        if path.exists() and self._state.get("phase") != "validation":
            return path
        await self._move("validation", files_key=working.new_key() if self._parts.objects.keys.enabled else None)
        base = await asyncio.to_thread(self._base)
        rights = Rights(self._parts.database, submitted(self._job))
        chosen = self._job.input["hyperparameters"]
        percentage = int(chosen["evalPercentage"]) if "evalPercentage" in chosen else None
        data = Data(
            self._objects, rights, self._given, self._folder / "data", lambda: self._attempt.stopping, self._files_key
        )
        training, validation = await asyncio.to_thread(data.bring, percentage)
        kind = methods.chosen(self._given)
        if kind == "distillation":
            await self._teach([*training, *validation])
        settings = self._parts.settings.customization
        plain = Spec(
            base=str(base.weights),
            training=[str(one) for one in training],
            validation=[str(one) for one in validation],
            out=str(self._out),
            kind=kind,
            method=chosen[METHOD],
            # Not the name itself, which may be that of another folder of the trainer's.
            name=f"custom-{self._given['customModelName']}",
            seed=int(chosen[SEED]),
            adapter=None if base.adapter is None else str(base.adapter),
            merge=base.merge and chosen[METHOD] == "lora",
            threads=settings.threads,
            checkpoint_seconds=settings.checkpoint_seconds,
            hyperparameters=trainers(chosen),
        )
        spec = methods.told(
            plain, self._given, chosen, settings, await asyncio.to_thread(self._teachers_weights, chosen)
        )
        beside = path.with_suffix(".new")
        beside.write_bytes(msgspec.json.encode(spec))
        beside.replace(path)
        self._attempt.log(f"{len(training)} files of training data, {len(validation)} of validation data")
        return path

    async def _teach(self, files: list[Path]) -> None:
        """Refused if the teacher cannot answer; Stopped."""
        teacher = self._given["customizationConfig"]["distillationConfig"]["teacherModelConfig"]
        asked = Model(
            self._parts, self._job, teacher["teacherModelIdentifier"], teacher.get("maxResponseLengthForInference")
        )
        self._attempt.log(f"{teacher['teacherModelIdentifier']} answers what has no answer")
        count = 0

        def told(_: int) -> None:
            nonlocal count
            count += 1
            if self._attempt.stopping:
                raise Stopped
            if count % TOLD_EVERY == 0:
                self._attempt.log(f"{count} answers of the teacher")

        try:
            await teaching.answered(files, self._files_key, asked.answer, asked.at_once, told)
        except* (Refused, Stopped) as problems:
            raise problems.exceptions[0] from None

    def _teachers_weights(self, chosen: Mapping[str, str]) -> Path | None:
        if chosen.get(ODDS) != "true":
            return None
        bases = Bases(self._parts.database, self._parts.catalogue, self._home)
        return bases.find(self._job.account, self._job.region, methods.teacher_of(self._given)).weights

    def _base(self) -> Base:
        bases = Bases(self._parts.database, self._parts.catalogue, self._home)
        return bases.find(self._job.account, self._job.region, self._given["baseModelIdentifier"])

    async def _trained(self, spec: Path) -> dict[str, Any]:
        """The trainer's result. Refused for data that it refuses."""
        if self._state.get("phase") == "delivering":
            return dict(self._state["result"])
        log = self._home / "logs" / "customization" / f"{self._job.id}.log"
        watched = asyncio.create_task(self._until_stopped())
        try:
            async with aclosing(self._follow(spec, log, self._files_key)) as said:
                reply: Mapping[str, Any] | None = None
                while True:
                    next_ = asyncio.ensure_future(_after(said, reply))
                    await asyncio.wait({next_, watched}, return_when=asyncio.FIRST_COMPLETED)
                    if watched.done():
                        next_.cancel()
                        await asyncio.gather(next_, return_exceptions=True)
                        raise Stopped
                    message = next_.result()
                    if message is None:
                        raise trainer.TrainerCrashed("the trainer said nothing of how it ended")
                    reply = await self._graded(message) if message["type"] == "grade" else None
                    if (result := await self._heard(message)) is not None:
                        return result
        finally:
            watched.cancel()

    async def _graded(self, message: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the trainer is told of the answers that it asks about."""
        settings = self._parts.settings.customization
        name = graders.named(methods.function_of(self._given), settings)
        if self._grading is None:
            judge = Model(self._parts, self._job, settings.judge, JUDGED_TOKENS) if settings.judge else None
            self._grading = Graders(name, settings, None if judge is None else judge.answer)
        return {"id": message["id"], "rewards": await self._grading.rewards(message["samples"])}

    async def _until_stopped(self) -> None:
        while not self._attempt.stopping:
            self._attempt.changed.clear()
            await self._attempt.changed.wait()

    async def _heard(self, message: Mapping[str, Any]) -> dict[str, Any] | None:
        match message["type"]:
            case "phase":
                phase = (
                    message["name"] if message["name"] in ("data_processing", "training", "exporting") else "training"
                )
                await self._move(phase)
            case "progress":
                metrics = {name: message.get(name) for name in ("loss", "tokens_per_second", "epoch")}
                self._far = message["step"], message.get("steps"), metrics
                self._attempt.progress(*self._far)
            case "validation":
                self._attempt.log(f"step {message['step']}: validation loss {message['loss']:.4f}")
            case "reward":
                self._attempt.log(f"step {message['step']}: reward {message['reward']:.3f}")
            case "line":
                self._attempt.log(str(message["text"]))
            case "invalid":
                raise Refused("The data is invalid.\n" + "\n".join(map(str, message["problems"])))
            case "failed":
                raise Refused(f"The training failed. {message['reason']}")
            case "done":
                return dict(message["result"])
        return None

    async def _move(self, phase: str, **more: Any) -> None:
        self._state = {**moved(self._state, phase, self._parts.clock()), **more}
        await self._attempt.checkpoint(self._state)
        # A checkpoint tells of no progress, and there was some.
        if self._far is not None:
            self._attempt.progress(*self._far)

    def _keep_files(self, result: Mapping[str, Any]) -> None:
        """What the model is served from, and what it can be trained further from. Done again after a crash."""
        target = custom.folder(self._home, self._job.id)
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name, file in (("adapter_gguf", "adapter.gguf"), ("adapter", "adapter")):
            if result.get(name) and not result.get("folder"):
                folders.link(Path(result[name]), target / file)
        for name, file in (("model_gguf", "model.gguf"), ("folder", "model")):
            if result.get(name):
                folders.link(Path(result[name]), target / file)

    def _kept(self, result: Mapping[str, Any]) -> dict[str, Any]:
        base = self._job.input["base"]
        arn = custom.build_arn("custom", self._job.region, self._job.account, self._job.id, base["arn_name"])
        adapted = bool(result.get("adapter_gguf")) and not result.get("folder")
        file = "adapter.gguf" if adapted else "model.gguf" if result.get("model_gguf") else "model"
        return {"model_arn": arn, "serving": "adapter" if adapted else "own", "file": file}


async def _after(
    said: AsyncGenerator[Mapping[str, Any], Mapping[str, Any] | None], reply: Mapping[str, Any] | None
) -> Mapping[str, Any] | None:
    """What is said next; None at the end."""
    try:
        return await said.asend(reply)
    except StopAsyncIteration:
        return None


def _metrics(result: Mapping[str, Any]) -> dict[str, Any]:
    return {name: result.get(name) for name in ("training_loss", "validation_losses", "steps", "tokens", "seconds")}
