"""CreateEvaluationJob, GetEvaluationJob, ListEvaluationJobs, StopEvaluationJob, BatchDeleteEvaluationJob."""

from __future__ import annotations

from typing import Any

from outcrop import jobs
from outcrop.batch import listing
from outcrop.batch.submitted import arn_of, body_of
from outcrop.context import Context
from outcrop.encryption import named
from outcrop.errors import ConflictException, ResourceNotFoundException, ValidationException
from outcrop.evaluation.jobs import EVALUATION, answers, statuses, summaries
from outcrop.evaluation.jobs.built_in import check as check_built_in
from outcrop.evaluation.jobs.inference import inference
from outcrop.evaluation.jobs.models import check_latency, model_of
from outcrop.evaluation.jobs.plan import Plan, plan_of
from outcrop.identity import arns
from outcrop.jobs import Job
from outcrop.objects.errors import ObjectsError
from outcrop.objects.names import parse
from outcrop.shapes.bedrock import (
    BatchDeleteEvaluationJobError,
    BatchDeleteEvaluationJobItem,
    BatchDeleteEvaluationJobRequest,
    BatchDeleteEvaluationJobResponse,
    CreateEvaluationJobRequest,
    CreateEvaluationJobResponse,
    GetEvaluationJobRequest,
    GetEvaluationJobResponse,
    ListEvaluationJobsRequest,
    ListEvaluationJobsResponse,
    StopEvaluationJobRequest,
    StopEvaluationJobResponse,
)
from outcrop.tags import kinds, tags
from outcrop.tags.kinds import TAGGABLE
from outcrop.wire.operations import Operations

bedrock = Operations("bedrock")

TAGGABLE[EVALUATION] = kinds.job(EVALUATION)


@bedrock
def create_evaluation_job(ctx: Context, request: CreateEvaluationJobRequest) -> CreateEvaluationJobResponse:
    plan = plan_of(request)
    _check_models(ctx, plan)
    _check_places(ctx, request, plan)
    check_built_in(ctx.parts.settings.evaluation, plan.datasets)
    given = request.get("jobTags", [])
    tags.check(given)
    try:
        with ctx.database.transaction() as transaction:
            made = jobs.create(
                transaction,
                ctx.account,
                ctx.region,
                EVALUATION,
                body_of(request, ctx.caller),
                request.get("clientRequestToken"),
                now=ctx.now(),
                name=request["jobName"],
                unique_name=True,
            )
            arn = arn_of(made.job)
            if made.is_new:
                tags.add(transaction, arn, given)
    except jobs.TokenReused:
        raise ConflictException("The clientRequestToken was used before with other parameters.") from None
    except jobs.NameTaken:
        raise ConflictException(
            f"An evaluation job with the name {request['jobName']} exists already. Choose another name and try again."
        ) from None
    return {"jobArn": arn}


@bedrock
def get_evaluation_job(ctx: Context, request: GetEvaluationJobRequest) -> GetEvaluationJobResponse:
    return summaries.whole(_found(ctx, request["jobIdentifier"]))


@bedrock
def list_evaluation_jobs(ctx: Context, request: ListEvaluationJobsRequest) -> ListEvaluationJobsResponse:
    status, application = request.get("statusEquals"), request.get("applicationTypeEquals")
    if status is not None and not statuses.POSSIBLE[status]:
        return {"jobSummaries": []}
    found, following = listing.page(
        ctx,
        EVALUATION,
        request.get("maxResults"),
        request.get("nextToken"),
        query=f"application {application}",
        fits=lambda job: application is None or summaries.application_of(job) == application,
        statuses=() if status is None else statuses.POSSIBLE[status],
        name_contains=request.get("nameContains"),
        created_after=request.get("creationTimeAfter"),
        created_before=request.get("creationTimeBefore"),
        descending=request.get("sortOrder") != "Ascending",
    )
    response: ListEvaluationJobsResponse = {"jobSummaries": [summaries.short(job) for job in found]}
    if following is not None:
        response["nextToken"] = following
    return response


@bedrock
def stop_evaluation_job(ctx: Context, request: StopEvaluationJobRequest) -> StopEvaluationJobResponse:
    job = _found(ctx, request["jobIdentifier"])
    with ctx.database.transaction() as transaction:
        stopping = jobs.stop(transaction, ctx.account, ctx.region, EVALUATION, job.id, ctx.now())
    if stopping is None:
        raise ConflictException(
            f"The evaluation job {arn_of(job)} cannot be stopped: its status is {statuses.status_of(job)}."
        )
    return {}


@bedrock
def batch_delete_evaluation_job(
    ctx: Context, request: BatchDeleteEvaluationJobRequest
) -> BatchDeleteEvaluationJobResponse:
    errors: list[BatchDeleteEvaluationJobError] = []
    deleted: list[BatchDeleteEvaluationJobItem] = []
    for identifier in dict.fromkeys(request["jobIdentifiers"]):
        problem = _delete(ctx, identifier)
        if problem is None:
            deleted.append({"jobIdentifier": identifier, "jobStatus": "Deleting"})
        else:
            errors.append({"jobIdentifier": identifier, "code": problem[0], "message": problem[1]})
    return {"errors": errors, "evaluationJobs": deleted}


def _delete(ctx: Context, identifier: str) -> tuple[str, str] | None:
    """Code and message of what stands in the way. What the job wrote into S3 stays."""
    try:
        job = _found(ctx, identifier)
    except ResourceNotFoundException as problem:
        return problem.code, problem.message
    with ctx.database.transaction() as transaction:
        if not jobs.remove(transaction, ctx.account, ctx.region, EVALUATION, job.id):
            return (
                ConflictException.code,
                f"The evaluation job {identifier} cannot be deleted: its status is {statuses.status_of(job)}. Stop it first.",
            )
        answers.forget(transaction, job.id)
        tags.forget(transaction, arn_of(job))
    return None


def _check_models(ctx: Context, plan: Plan) -> None:
    for identifier in plan.asked:
        model = model_of(ctx.parts, identifier, ctx.account, ctx.region)
        if not model.capabilities.chat:
            raise ValidationException(
                f"The model {identifier} doesn't support the Converse API and cannot be evaluated."
            )
        for one in plan.models:
            if one.identifier == identifier:
                inference(one.params, one.performance, model.max_output_tokens)
                check_latency(one.performance, model, identifier)


def _check_places(ctx: Context, request: CreateEvaluationJobRequest, plan: Plan) -> None:
    if "customerEncryptionKeyId" in request:
        named(ctx, request["customerEncryptionKeyId"])
    for uri in (request["outputDataConfig"]["s3Uri"], *(one.uri for one in plan.datasets)):
        if uri is None:
            continue
        try:
            parse(uri)
        except ObjectsError as problem:
            raise ValidationException(f"{uri}: {problem.message}") from None


def _found(ctx: Context, identifier: str) -> Job:
    """The account's job of that ARN."""
    arn = arns.parse(identifier)
    ours = (arn.account, arn.region) == (ctx.account, ctx.region)
    job_id: Any = arn.resource.rpartition("/")[2]
    job = jobs.find(ctx.database, ctx.account, ctx.region, EVALUATION, job_id) if ours else None
    if job is None or job.id != job_id:
        raise ResourceNotFoundException(f"The evaluation job {identifier} could not be found.")
    return job
