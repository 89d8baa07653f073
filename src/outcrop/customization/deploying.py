"""Deploying a custom model: its engine is started before the deployment answers by it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime

from outcrop.batch.attempt import Attempt
from outcrop.context import Parts
from outcrop.engines.engine import EngineBusy, EngineError
from outcrop.jobs import Job, Outcome, completed
from outcrop.models import custom, deployments
from outcrop.store.database import Transaction

DEPLOYING = "custom-model-deploying"
# Other models may be in use and take the memory.
BUSY_TRIES, BUSY_SECONDS = 20, 3.0
CRASHES = 2

logger = logging.getLogger("outcrop.customization")


class DeployingRun:
    """Calling it loads the model of a deployment; how that ended is written with the job's end."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def __call__(self, attempt: Attempt) -> Outcome:
        try:
            return completed({"failure": await self._failure(attempt)})
        except Exception:
            # What went wrong once or twice may pass; nobody waits for more.
            if attempt.job.crashes < CRASHES:
                raise
            logger.exception("a custom model cannot be deployed")
            return completed({"failure": "An internal error occurred."})

    async def _failure(self, attempt: Attempt) -> str | None:
        """Why the model cannot be called; None if it can."""
        name = custom.engine_id(attempt.job.input["model"])
        await asyncio.to_thread(self._parts.catalogue.refresh)
        if (problem := self._parts.catalogue.served.problem(name)) is not None:
            return problem
        failure = ""
        for _ in range(BUSY_TRIES):
            try:
                await self._parts.engines.get(name).start()
            except EngineBusy as busy:
                failure = str(busy)
                await asyncio.sleep(BUSY_SECONDS)
            except EngineError as error:
                return str(error).partition("\n")[0]
            else:
                return None
        return failure


def delivering(clock: Callable[[], datetime]) -> Callable[[Transaction, Job], None]:
    def deliver(transaction: Transaction, job: Job) -> None:
        settle = deployments.end_update if job.input["update"] else deployments.settle
        settle(transaction, job.input["deployment"], job.input["model"], clock(), job.result["failure"])

    return deliver
