"""CreateModelCopyJob, GetModelCopyJob, ListModelCopyJobs."""

from __future__ import annotations

from outcrop import jobs
from outcrop.batch import listing
from outcrop.batch.submitted import body_of
from outcrop.context import Context
from outcrop.customization.copying import COPY, target_arn
from outcrop.customization.names import check_free, key_of
from outcrop.errors import ConflictException, ResourceNotFoundException
from outcrop.identity import arns
from outcrop.jobs import Job
from outcrop.models import custom
from outcrop.models.custom import CustomModel
from outcrop.models.identifiers import parse
from outcrop.shapes.bedrock import (
    CreateModelCopyJobRequest,
    CreateModelCopyJobResponse,
    GetModelCopyJobRequest,
    GetModelCopyJobResponse,
    ListModelCopyJobsRequest,
    ListModelCopyJobsResponse,
    ModelCopyJobSummary,
)
from outcrop.tags import tags
from outcrop.wire.operations import Operations

bedrock = Operations("bedrock")

_STATUSES = {"queued": "InProgress", "running": "InProgress", "stopping": "InProgress", "completed": "Completed"}


@bedrock
def create_model_copy_job(ctx: Context, request: CreateModelCopyJobRequest) -> CreateModelCopyJobResponse:
    """In the region that the copy shall be in. Whether a model of another account may be copied its own policy says."""
    source = _source(ctx, request["sourceModelArn"])
    tags.check(request.get("targetModelTags", []))
    body = {
        **body_of(request, ctx.caller),
        "source": source.id,
        "source_name": source.name,
        "source_account": source.account,
        "arn_name": arns.parse(source.arn).resource.split("/")[1],
        "key": key_of(ctx, request.get("modelKmsKeyId")),
    }
    try:
        with ctx.database.transaction() as transaction:
            made = jobs.create(
                transaction,
                ctx.account,
                ctx.region,
                COPY,
                body,
                request.get("clientRequestToken"),
                now=ctx.now(),
                name=request["targetModelName"],
            )
            if made.is_new:
                check_free(transaction, ctx, request["targetModelName"], made.job.id)
    except jobs.TokenReused:
        raise ConflictException("The clientRequestToken was used before with other parameters.") from None
    return {"jobArn": _arn(made.job)}


@bedrock
def get_model_copy_job(ctx: Context, request: GetModelCopyJobRequest) -> GetModelCopyJobResponse:
    arn = arns.parse(request["jobArn"])
    ours = (arn.account, arn.region) == (ctx.account, ctx.region)
    number = arn.resource.rpartition("/")[2]
    job = jobs.find(ctx.database, ctx.account, ctx.region, COPY, number) if ours else None
    if job is None or job.id != number:
        raise ResourceNotFoundException(f"The model copy job {request['jobArn']} could not be found.")
    return {**_summary(job)}


@bedrock
def list_model_copy_jobs(ctx: Context, request: ListModelCopyJobsRequest) -> ListModelCopyJobsResponse:
    def fits(job: Job) -> bool:
        return (
            request.get("statusEquals") in (None, _status(job))
            and request.get("sourceAccountEquals") in (None, job.input["source_account"])
            and request.get("sourceModelArnEquals") in (None, job.input["request"]["sourceModelArn"])
        )

    filters = [request.get(name) for name in ("statusEquals", "sourceAccountEquals", "sourceModelArnEquals")]
    found, following = listing.page(
        ctx,
        COPY,
        request.get("maxResults"),
        request.get("nextToken"),
        query=f"copy {filters}",
        fits=fits,
        # A copy job is named for the model that it makes.
        name_contains=request.get("targetModelNameContains"),
        created_after=request.get("creationTimeAfter"),
        created_before=request.get("creationTimeBefore"),
        descending=request.get("sortOrder") != "Ascending",
    )
    response: ListModelCopyJobsResponse = {"modelCopyJobSummaries": [_summary(job) for job in found]}
    if following is not None:
        response["nextToken"] = following
    return response


def _source(ctx: Context, identifier: str) -> CustomModel:
    """Any account's: that the caller may have it was asked before."""
    name = parse(identifier)
    model = custom.find(ctx.database, name.name.rpartition("/")[2]) if name.kind == "custom-model" else None
    if model is None or model.arn != identifier or model.kind != "custom" or model.status != "Active":
        raise ResourceNotFoundException(f"The custom model {identifier} could not be found.")
    return model


def _arn(job: Job) -> str:
    return arns.build(COPY, job.region, job.account, id12=job.id)


def _status(job: Job) -> str:
    return _STATUSES.get(job.status, "Failed")


def _summary(job: Job) -> ModelCopyJobSummary:
    given = job.input["request"]
    summary: ModelCopyJobSummary = {
        "jobArn": _arn(job),
        "status": _status(job),
        "creationTime": job.created_at,
        "targetModelArn": target_arn(job),
        "targetModelName": given["targetModelName"],
        "sourceAccountId": job.input["source_account"],
        "sourceModelArn": given["sourceModelArn"],
        "sourceModelName": job.input["source_name"],
    }
    if "targetModelTags" in given:
        summary["targetModelTags"] = given["targetModelTags"]
    if job.input["key"] is not None:
        summary["targetModelKmsKeyArn"] = job.input["key"]
    if job.reason is not None:
        summary["failureMessage"] = job.reason
    return summary
