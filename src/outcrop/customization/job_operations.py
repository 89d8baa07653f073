"""CreateModelCustomizationJob, GetModelCustomizationJob, ListModelCustomizationJobs, StopModelCustomizationJob."""

from __future__ import annotations

import importlib.util
from typing import Any

from outcrop import jobs
from outcrop.batch import listing
from outcrop.batch.submitted import body_of
from outcrop.context import Context
from outcrop.customization import data, hyperparameters, methods
from outcrop.customization.bases import Bases
from outcrop.customization.names import check_free, key_of
from outcrop.customization.submitted import JOB, POSSIBLE, arn_of, details_of, status_of
from outcrop.errors import ConflictException, ResourceNotFoundException, ValidationException
from outcrop.identity import actions, arns
from outcrop.jobs import Job
from outcrop.models import custom
from outcrop.shapes.bedrock import (
    CreateModelCustomizationJobRequest,
    CreateModelCustomizationJobResponse,
    GetModelCustomizationJobRequest,
    GetModelCustomizationJobResponse,
    ListModelCustomizationJobsRequest,
    ListModelCustomizationJobsResponse,
    ModelCustomizationJobSummary,
    StopModelCustomizationJobRequest,
    StopModelCustomizationJobResponse,
)
from outcrop.store.database import Database
from outcrop.tags import kinds, tags
from outcrop.tags.kinds import TAGGABLE
from outcrop.wire.operations import Operations

bedrock = Operations("bedrock")

TAGGABLE[JOB] = kinds.job(JOB)

LONGEST_MESSAGE = 2048


def _arn_named(database: Database, account: str, region: str, name: str) -> str | None:
    """For policies, which go by ARNs."""
    job = jobs.find(database, account, region, JOB, name)
    return None if job is None else arn_of(job)


actions.NAMES[JOB] = _arn_named


@bedrock
def create_model_customization_job(
    ctx: Context, request: CreateModelCustomizationJobRequest
) -> CreateModelCustomizationJobResponse:
    method = methods.chosen(request)
    if importlib.util.find_spec("torch") is None:
        raise ValidationException("Customization needs PyTorch on this server. Run: pip install 'outcrop[train]'")
    bases = Bases(ctx.database, ctx.catalogue, ctx.engines.home)
    base = bases.find(ctx.account, ctx.region, request["baseModelIdentifier"])
    if base.arn != request["baseModelIdentifier"] and ":foundation-model/" not in base.arn:
        # What it is by its name was not known to whoever checked the caller's rights.
        ctx.require("bedrock:CreateModelCustomizationJob", base.arn)
    data.check(ctx, request)
    chosen = hyperparameters.of(
        base.name, request.get("hyperParameters", {}), method, validated=data.is_validated(request)
    )
    methods.check(ctx, method, request, base, chosen)
    tags.check(request.get("jobTags", []))
    tags.check(request.get("customModelTags", []))
    body = {
        **body_of(request, ctx.caller),
        "hyperparameters": chosen,
        "base": {"arn": base.arn, "arn_name": custom.name_in_arn(base.name), "foundation": base.foundation},
        "key": key_of(ctx, request.get("customModelKmsKeyId")),
    }
    try:
        with ctx.database.transaction() as transaction:
            made = jobs.create(
                transaction,
                ctx.account,
                ctx.region,
                JOB,
                body,
                request.get("clientRequestToken"),
                now=ctx.now(),
                name=request["jobName"],
                unique_name=True,
            )
            if made.is_new:
                check_free(transaction, ctx, request["customModelName"], made.job.id)
                tags.add(transaction, arn_of(made.job), request.get("jobTags", []))
    except jobs.TokenReused:
        raise ConflictException("The clientRequestToken was used before with other parameters.") from None
    except jobs.NameTaken:
        raise ConflictException(
            f"A model customization job with the name {request['jobName']} already exists."
        ) from None
    return {"jobArn": arn_of(made.job)}


@bedrock
def get_model_customization_job(
    ctx: Context, request: GetModelCustomizationJobRequest
) -> GetModelCustomizationJobResponse:
    job = _found(ctx, request["jobIdentifier"])
    given: Any = job.input["request"]
    response: GetModelCustomizationJobResponse = {
        "jobArn": arn_of(job),
        "jobName": given["jobName"],
        "outputModelName": given["customModelName"],
        "roleArn": given["roleArn"],
        "status": status_of(job),
        "statusDetails": details_of(job),  # type: ignore[typeddict-item]  # built by name
        "creationTime": job.created_at,
        "lastModifiedTime": job.updated_at,
        "baseModelArn": job.input["base"]["arn"],
        "hyperParameters": job.input["hyperparameters"],
        "trainingDataConfig": given["trainingDataConfig"],
        "validationDataConfig": given.get("validationDataConfig", {"validators": []}),
        "outputDataConfig": given["outputDataConfig"],
        "customizationType": given.get("customizationType", "FINE_TUNING"),
    }
    for name in ("clientRequestToken", "vpcConfig", "customizationConfig"):
        if name in given:
            response[name] = given[name]
    if job.input.get("key") is not None:
        response["outputModelKmsKeyArn"] = job.input["key"]
    if job.ended_at is not None:
        response["endTime"] = job.ended_at
    if job.reason is not None:
        response["failureMessage"] = job.reason[:LONGEST_MESSAGE]
    if job.status == "completed":
        response["outputModelArn"] = job.result["model_arn"]
        response.update(metrics_of(job.result))  # type: ignore[typeddict-item]  # members of the shape
    return response


def metrics_of(result: Any) -> dict[str, Any]:
    """`trainingMetrics` and `validationMetrics` of what a job ended with."""
    found: dict[str, Any] = {}
    if result.get("training_loss") is not None:
        found["trainingMetrics"] = {"trainingLoss": result["training_loss"]}
    if result.get("validation_losses"):
        found["validationMetrics"] = [{"validationLoss": loss} for loss in result["validation_losses"]]
    return found


@bedrock
def list_model_customization_jobs(
    ctx: Context, request: ListModelCustomizationJobsRequest
) -> ListModelCustomizationJobsResponse:
    wanted = request.get("statusEquals")
    found, following = listing.page(
        ctx,
        JOB,
        request.get("maxResults"),
        request.get("nextToken"),
        query="",
        fits=lambda job: True,
        statuses=() if wanted is None else POSSIBLE[wanted],
        name_contains=request.get("nameContains"),
        created_after=request.get("creationTimeAfter"),
        created_before=request.get("creationTimeBefore"),
        descending=request.get("sortOrder") != "Ascending",
    )
    response: ListModelCustomizationJobsResponse = {"modelCustomizationJobSummaries": [_summary(job) for job in found]}
    if following is not None:
        response["nextToken"] = following
    return response


@bedrock
def stop_model_customization_job(
    ctx: Context, request: StopModelCustomizationJobRequest
) -> StopModelCustomizationJobResponse:
    job = _found(ctx, request["jobIdentifier"])
    stopping = None
    if status_of(job) == "InProgress":
        with ctx.database.transaction() as transaction:
            stopping = jobs.stop(transaction, ctx.account, ctx.region, JOB, job.id, ctx.now())
    if stopping is None:
        again = jobs.find(ctx.database, ctx.account, ctx.region, JOB, job.id) or job
        raise ConflictException(f"The job {arn_of(job)} cannot be stopped: its status is {status_of(again)}.")
    return {}


def _found(ctx: Context, identifier: str) -> Job:
    """The account's job of that ARN or name."""
    name = identifier
    if identifier.startswith("arn:"):
        arn = arns.parse(identifier)
        ours = (arn.account, arn.region) == (ctx.account, ctx.region)
        name = arn.resource.rpartition("/")[2] if ours else ""
    job = jobs.find(ctx.database, ctx.account, ctx.region, JOB, name) if name else None
    if job is None or (identifier.startswith("arn:") and arn_of(job) != identifier):
        raise ResourceNotFoundException(f"The model customization job {identifier} could not be found.")
    return job


def _summary(job: Job) -> ModelCustomizationJobSummary:
    given = job.input["request"]
    summary: ModelCustomizationJobSummary = {
        "jobArn": arn_of(job),
        "baseModelArn": job.input["base"]["arn"],
        "jobName": given["jobName"],
        "status": status_of(job),
        "statusDetails": details_of(job),  # type: ignore[typeddict-item]  # built by name
        "creationTime": job.created_at,
        "lastModifiedTime": job.updated_at,
        "customModelName": given["customModelName"],
        "customizationType": given.get("customizationType", "FINE_TUNING"),
    }
    if job.ended_at is not None:
        summary["endTime"] = job.ended_at
    if job.status == "completed":
        summary["customModelArn"] = job.result["model_arn"]
    return summary
