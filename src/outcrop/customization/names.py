"""Names of custom models: each is had once, by a model that is there or by the job that is making it."""

from __future__ import annotations

from collections.abc import Mapping

from outcrop import jobs
from outcrop.context import Context
from outcrop.customization.copying import COPY
from outcrop.customization.submitted import JOB
from outcrop.encryption.named import named
from outcrop.errors import ConflictException
from outcrop.jobs import Job
from outcrop.models import custom
from outcrop.store.database import Database, Transaction

# What a job's request calls the model that it makes.
_NAMES: Mapping[str, str] = {JOB: "customModelName", COPY: "targetModelName"}


def check_free(transaction: Transaction, ctx: Context, name: str, own_job: str = "") -> None:
    """ConflictException if the name is taken, by another than that job."""
    taken = custom.named(transaction, ctx.account, ctx.region, "custom", name)
    if taken is not None and taken.name == name:
        raise ConflictException(f"A custom model with the name {name} already exists.")
    for kind, member in _NAMES.items():
        for job in open_jobs(transaction, ctx.account, ctx.region, kind):
            if job.id != own_job and job.input["request"][member] == name:
                raise ConflictException(f"The job {job.name} is making a custom model with the name {name}.")


def open_jobs(database: Database | Transaction, account: str, region: str, kind: str = JOB) -> list[Job]:
    """Jobs of the account that have not ended."""
    rows = database.query(
        "SELECT id FROM jobs WHERE account_id = ? AND region = ? AND kind = ? AND ended_at IS NULL",
        account,
        region,
        kind,
    )
    found = (jobs.find(database, account, region, kind, row["id"]) for row in rows)
    return [job for job in found if job is not None]


def key_of(ctx: Context, name: str | None) -> str | None:
    """The ARN of the key that a request names."""
    return None if name is None else named(ctx, name).arn
