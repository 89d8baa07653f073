"""CreateModelInvocationJob, GetModelInvocationJob, ListModelInvocationJobs, StopModelInvocationJob."""

from __future__ import annotations

from typing import Any

from outcrop import jobs
from outcrop.batch import listing, statuses
from outcrop.batch.submitted import BATCH, arn_of, body_of, submitted
from outcrop.context import Context
from outcrop.encryption import named
from outcrop.errors import ConflictException, ResourceNotFoundException, ValidationException
from outcrop.identity import arns
from outcrop.jobs import Job
from outcrop.objects.errors import ObjectsError
from outcrop.objects.names import parse
from outcrop.shapes.bedrock import (
    CreateModelInvocationJobRequest,
    CreateModelInvocationJobResponse,
    GetModelInvocationJobRequest,
    GetModelInvocationJobResponse,
    ListModelInvocationJobsRequest,
    ListModelInvocationJobsResponse,
    ModelInvocationJobSummary,
    StopModelInvocationJobRequest,
    StopModelInvocationJobResponse,
)
from outcrop.tags import kinds, tags
from outcrop.tags.kinds import TAGGABLE
from outcrop.wire.operations import Operations

bedrock = Operations("bedrock")

TAGGABLE[BATCH] = kinds.job(BATCH)


@bedrock
def create_model_invocation_job(
    ctx: Context, request: CreateModelInvocationJobRequest
) -> CreateModelInvocationJobResponse:
    _check_model(ctx, request)
    _check_places(ctx, request)
    tags.check(request.get("tags", []))
    try:
        with ctx.database.transaction() as transaction:
            made = jobs.create(
                transaction,
                ctx.account,
                ctx.region,
                BATCH,
                body_of(request, ctx.caller),
                request.get("clientRequestToken"),
                now=ctx.now(),
                name=request["jobName"],
            )
            arn = arn_of(made.job)
            if made.is_new:
                tags.add(transaction, arn, request.get("tags", []))
    except jobs.TokenReused:
        raise ConflictException("The clientRequestToken was used before with other parameters.") from None
    return {"jobArn": arn}


@bedrock
def get_model_invocation_job(ctx: Context, request: GetModelInvocationJobRequest) -> GetModelInvocationJobResponse:
    return {**_summary(_found(ctx, request["jobIdentifier"]), ctx)}


@bedrock
def list_model_invocation_jobs(
    ctx: Context, request: ListModelInvocationJobsRequest
) -> ListModelInvocationJobsResponse:
    wanted = request.get("statusEquals")
    found, following = listing.page(
        ctx,
        BATCH,
        request.get("maxResults"),
        request.get("nextToken"),
        query=f"status {wanted}",
        fits=lambda job: wanted is None or statuses.status_of(job, ctx.now()) == wanted,
        statuses=() if wanted is None else statuses.POSSIBLE[wanted],
        name_contains=request.get("nameContains"),
        created_after=request.get("submitTimeAfter"),
        created_before=request.get("submitTimeBefore"),
        descending=request.get("sortOrder") != "Ascending",
    )
    response: ListModelInvocationJobsResponse = {"invocationJobSummaries": [_summary(job, ctx) for job in found]}
    if following is not None:
        response["nextToken"] = following
    return response


@bedrock
def stop_model_invocation_job(ctx: Context, request: StopModelInvocationJobRequest) -> StopModelInvocationJobResponse:
    job = _found(ctx, request["jobIdentifier"])
    status = statuses.status_of(job, ctx.now())
    stopping = None
    if status not in statuses.TERMINAL:
        with ctx.database.transaction() as transaction:
            stopping = jobs.stop(transaction, ctx.account, ctx.region, BATCH, job.id, ctx.now())
    if stopping is None:
        raise ConflictException(
            f"The job {arn_of(job)} cannot be stopped: its status is {statuses.status_of(_again(ctx, job), ctx.now())}."
        )
    return {}


def _check_model(ctx: Context, request: CreateModelInvocationJobRequest) -> None:
    model = ctx.catalogue.resolve(request["modelId"], account=ctx.account, region=ctx.region)
    if model.reservation is not None:
        raise ValidationException("Batch inference is not supported for provisioned models.")
    if model.family == "imported":
        raise ValidationException("Batch inference is not supported for imported models.")
    if request.get("modelInvocationType") == "Converse" and not model.capabilities.chat:
        raise ValidationException("This model doesn't support the Converse API. Use InvokeModel and try again.")


def _check_places(ctx: Context, request: CreateModelInvocationJobRequest) -> None:
    """What can be told at once of where the data is; the rest is up to the validation."""
    if "vpcConfig" in request:
        raise ValidationException("vpcConfig is not built in this version of Outcrop. Remove it and try again.")
    given = request["inputDataConfig"]["s3InputDataConfig"]
    target = request["outputDataConfig"]["s3OutputDataConfig"]
    if "s3EncryptionKeyId" in target:
        named(ctx, target["s3EncryptionKeyId"])
    for uri, owner in ((given["s3Uri"], given.get("s3BucketOwner")), (target["s3Uri"], target.get("s3BucketOwner"))):
        try:
            parse(uri)
        except ObjectsError as problem:
            raise ValidationException(f"{uri}: {problem.message}") from None
        if owner not in (None, ctx.account):
            raise ValidationException(f"The bucket of {uri} does not belong to the account {owner}.")


def _found(ctx: Context, identifier: str) -> Job:
    """The account's job of that id or ARN; a name is neither."""
    job_id = identifier
    if identifier.startswith("arn:"):
        arn = arns.parse(identifier)
        ours = (arn.account, arn.region) == (ctx.account, ctx.region)
        job_id = arn.resource.rpartition("/")[2] if ours else ""
    job = jobs.find(ctx.database, ctx.account, ctx.region, BATCH, job_id) if job_id else None
    if job is None or job.id != job_id:
        raise ResourceNotFoundException(f"The model invocation job {identifier} could not be found.")
    return job


def _again(ctx: Context, job: Job) -> Job:
    return jobs.find(ctx.database, ctx.account, ctx.region, BATCH, job.id) or job


def _summary(job: Job, ctx: Context) -> ModelInvocationJobSummary:
    given = submitted(job)
    request: Any = given.request
    summary: ModelInvocationJobSummary = {
        "jobArn": arn_of(job),
        "jobName": request["jobName"],
        "modelId": request["modelId"],
        "roleArn": request["roleArn"],
        "status": statuses.status_of(job, ctx.now()),
        "submitTime": job.created_at,
        "lastModifiedTime": job.updated_at,
        "inputDataConfig": request["inputDataConfig"],
        "outputDataConfig": request["outputDataConfig"],
        "timeoutDurationInHours": given.hours,
        "jobExpirationTime": given.expires_at,
        "modelInvocationType": given.how,
    }
    if "clientRequestToken" in request:
        summary["clientRequestToken"] = request["clientRequestToken"]
    if job.reason is not None:
        summary["message"] = job.reason[:2048]
    if job.ended_at is not None:
        summary["endTime"] = job.ended_at
    summary.update(statuses.counts_of(job))  # type: ignore[typeddict-item]  # members of the shape
    return summary
