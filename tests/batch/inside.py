"""Batch jobs inside this process, with a clock that can be set, quick leases, and no HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from outcrop.app import App
from outcrop.batch import operations
from outcrop.batch.async_run import AsyncRun
from outcrop.batch.attempt import Run
from outcrop.batch.run import BatchRun
from outcrop.batch.service import Service
from outcrop.batch.submitted import ASYNC, BATCH
from outcrop.context import Context
from outcrop.identity.caller import Caller
from outcrop.identity.credentials import Credentials
from outcrop.jobs.supervisor import Timing
from outcrop.settings import load
from outcrop.wire.model import load_services
from tests.batch.batches import MODEL, ROLE
from tests.stores import settings_of, store_at

QUICK = Timing(tick=0.05, lease=1.0, stop=30.0, backoff=0.05, longest_backoff=0.1)
BUCKET = "inside"


class Inside:
    """A server's parts. `later` sets the clock of requests and jobs forward; leases go by the real one."""

    def __init__(self, folder: Path, settings: str | None = None) -> None:
        """Without `settings`, another server of a folder that has some."""
        if settings is not None:
            (folder / "settings.toml").write_text(settings + settings_of(store_at(folder)))
        self.app = App(load(folder / "settings.toml"), folder)
        self.later = timedelta()
        self.parts = replace(self.app.parts, clock=lambda: datetime.now(UTC) + self.later)
        owner = Credentials(self.parts.database, self.parts.vault).administrator()
        self.ctx = Context(
            Caller(owner.account, owner.arn, owner.user_id, "key", "sigv4", "us-east-1"), "us-east-1", "id", self.parts
        )
        if BUCKET not in [bucket.name for bucket in self.parts.objects.store.buckets_of(owner.account)]:
            self.parts.objects.store.create_bucket(BUCKET, owner.account, "us-east-1")

    def put(self, key: str, *inputs: Any) -> str:
        """Records with ids `R0`, `R1`, ...; the URI."""
        lines = [orjson.dumps({"recordId": f"R{n}", "modelInput": given}) for n, given in enumerate(inputs)]
        self.ctx.objects.put(f"s3://{BUCKET}/{key}", b"\n".join(lines))
        return f"s3://{BUCKET}/{key}"

    def create(self, source: str, **more: Any) -> str:
        request: Any = {
            "jobName": "inside",
            "roleArn": ROLE,
            "modelId": MODEL,
            "inputDataConfig": {"s3InputDataConfig": {"s3Uri": source}},
            "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": f"s3://{BUCKET}/out"}},
            **more,
        }
        return operations.create_model_invocation_job(self.ctx, request)["jobArn"]

    def get(self, arn: str) -> Any:
        return operations.get_model_invocation_job(self.ctx, {"jobIdentifier": arn})

    def until(self, arn: str, *statuses: str, processed: int = 0, seconds: float = 60) -> Any:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            job = self.get(arn)
            if job["status"] in statuses and job.get("processedRecordCount", 0) >= processed:
                return job
            time.sleep(0.02)
        raise AssertionError(job)

    def read(self, arn: str, name: str) -> list[Any]:
        body = self.ctx.objects.get(f"s3://{BUCKET}/out/{arn.rpartition('/')[2]}/{name}")
        return [orjson.loads(line) for line in body.splitlines()]

    def keys(self, arn: str) -> list[str]:
        folder = f"s3://{BUCKET}/out/{arn.rpartition('/')[2]}/"
        return [stored.uri.removeprefix(folder) for stored in self.ctx.objects.list(folder).objects]

    @contextlib.contextmanager
    def serving(self, timing: Timing = QUICK) -> Iterator[Service]:
        """Jobs run on a loop of their own meanwhile."""
        wire = load_services().operations
        runs: dict[str, Run] = {BATCH: BatchRun(self.parts, wire), ASYNC: AsyncRun(self.parts, wire)}
        service = Service(self.parts.database, runs, at_once=4, clock=lambda: datetime.now(UTC), timing=timing)
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        loop.call_soon_threadsafe(asyncio.set_event_loop, loop)
        try:
            asyncio.run_coroutine_threadsafe(_start(service), loop).result()
            yield service
        finally:
            service.close()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


async def _start(service: Service) -> None:
    service.start()
