"""CreatePretrainingJob, GetPretrainingJob, ListPretrainingJobs, StopPretrainingJob: ours, and not Bedrock's."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from typing import Any

from outcrop import jobs
from outcrop.batch import listing
from outcrop.batch.submitted import arn_of, body_of
from outcrop.context import Context
from outcrop.customization.names import open_jobs
from outcrop.customization.submitted import POSSIBLE, status_of
from outcrop.errors import ConflictException, ResourceNotFoundException, ValidationException
from outcrop.extensions import SERVICE
from outcrop.identity import actions, arns
from outcrop.jobs import Job
from outcrop.models import custom
from outcrop.objects.errors import ObjectsError
from outcrop.objects.names import parse
from outcrop.pretraining import recipes
from outcrop.pretraining.job import KIND, summary
from outcrop.store.database import Database, Transaction
from outcrop.tags import tags

LONGEST_MESSAGE = 2048


def _arn_named(database: Database, account: str, region: str, name: str) -> str | None:
    """For policies, which go by ARNs."""
    job = jobs.find(database, account, region, KIND, name)
    return None if job is None else arn_of(job)


actions.NAMES[KIND] = _arn_named


def create_pretraining_job(ctx: Context, request: Mapping[str, Any]) -> dict[str, Any]:
    if importlib.util.find_spec("torch") is None:
        raise ValidationException("Pretraining needs PyTorch on this server. Run: pip install 'outcrop[train]'")
    recipes.checked(request["recipe"], ctx.parts.settings.customization.largest_pretraining_parameters)
    tags.check(request.get("tags", []))
    if "outputDataConfig" in request:
        uri = request["outputDataConfig"]["s3Uri"]
        try:
            parse(uri)
        except ObjectsError as problem:
            raise ValidationException(f"{uri}: {problem.message}") from None
    try:
        with ctx.database.transaction() as transaction:
            made = jobs.create(
                transaction,
                ctx.account,
                ctx.region,
                KIND,
                body_of(request, ctx.caller),
                request.get("clientRequestToken"),
                now=ctx.now(),
                name=request["jobName"],
                unique_name=True,
            )
            if made.is_new:
                _check_free(transaction, ctx, request["modelName"], made.job.id)
                tags.add(transaction, arn_of(made.job), request.get("tags", []))
    except jobs.TokenReused:
        raise ConflictException("The clientRequestToken was used before with other parameters.") from None
    except jobs.NameTaken:
        raise ConflictException(f"A pretraining job with the name {request['jobName']} already exists.") from None
    return {"jobArn": arn_of(made.job)}


def get_pretraining_job(ctx: Context, request: Mapping[str, Any]) -> dict[str, Any]:
    job = _found(ctx, request["jobIdentifier"])
    given: Mapping[str, Any] = job.input["request"]
    response = {**summary(job), "recipe": given["recipe"]}
    for name in ("roleArn", "outputDataConfig", "tags", "clientRequestToken"):
        if name in given:
            response[name] = given[name]
    if not job.ended and job.state is not None:
        response["phase"] = job.state["phase"]
    if job.done is not None:
        response["progress"] = {
            "tokens": int(job.done),
            "totalTokens": None if job.total is None else int(job.total),
            "loss": job.metrics.get("loss"),
            "tokensPerSecond": job.metrics.get("tokens_per_second"),
        }
    if job.status == "completed":
        result = job.result
        response["metrics"] = {
            "trainingLoss": result["training_loss"],
            **{name: result[name] for name in ("parameters", "steps", "tokens", "seconds")},
        }
    if job.reason is not None:
        response["failureMessage"] = job.reason[:LONGEST_MESSAGE]
    return response


def list_pretraining_jobs(ctx: Context, request: Mapping[str, Any]) -> dict[str, Any]:
    wanted = request.get("statusEquals")
    found, following = listing.page(
        ctx,
        KIND,
        request.get("maxResults"),
        request.get("nextToken"),
        query="pretraining",
        fits=lambda job: True,
        statuses=() if wanted is None else POSSIBLE[wanted],
        name_contains=request.get("nameContains"),
        created_after=request.get("creationTimeAfter"),
        created_before=request.get("creationTimeBefore"),
        descending=request.get("sortOrder") != "Ascending",
    )
    response: dict[str, Any] = {"pretrainingJobSummaries": [summary(job) for job in found]}
    if following is not None:
        response["nextToken"] = following
    return response


def stop_pretraining_job(ctx: Context, request: Mapping[str, Any]) -> dict[str, Any]:
    job = _found(ctx, request["jobIdentifier"])
    stopping = None
    if status_of(job) == "InProgress":
        with ctx.database.transaction() as transaction:
            stopping = jobs.stop(transaction, ctx.account, ctx.region, KIND, job.id, ctx.now())
    if stopping is None:
        again = jobs.find(ctx.database, ctx.account, ctx.region, KIND, job.id) or job
        raise ConflictException(f"The job {arn_of(job)} cannot be stopped: its status is {status_of(again)}.")
    return {}


HANDLERS: Mapping[tuple[str, str], Callable[[Context, dict[str, Any]], Any]] = {
    (SERVICE, "CreatePretrainingJob"): create_pretraining_job,
    (SERVICE, "GetPretrainingJob"): get_pretraining_job,
    (SERVICE, "ListPretrainingJobs"): list_pretraining_jobs,
    (SERVICE, "StopPretrainingJob"): stop_pretraining_job,
}


def _check_free(transaction: Transaction, ctx: Context, name: str, own_job: str) -> None:
    """ConflictException for a model's name that is taken, by an imported model or by another job."""
    if custom.named(transaction, ctx.account, ctx.region, "imported", name) is not None:
        raise ConflictException(f"An imported model {name} exists already.")
    for job in open_jobs(transaction, ctx.account, ctx.region, KIND):
        if job.id != own_job and job.input["request"]["modelName"] == name:
            raise ConflictException(f"The job {job.name} is making a model with the name {name}.")


def _found(ctx: Context, identifier: str) -> Job:
    """The account's job of that ARN, id or name."""
    name = identifier
    if identifier.startswith("arn:"):
        arn = arns.parse(identifier)
        ours = (arn.account, arn.region) == (ctx.account, ctx.region)
        name = arn.resource.rpartition("/")[2] if ours else ""
    job = jobs.find(ctx.database, ctx.account, ctx.region, KIND, name) if name else None
    if job is None or (identifier.startswith("arn:") and arn_of(job) != identifier):
        raise ResourceNotFoundException(f"The pretraining job {identifier} could not be found.")
    return job
