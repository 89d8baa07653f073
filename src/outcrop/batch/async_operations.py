"""StartAsyncInvoke, GetAsyncInvoke, ListAsyncInvokes: one InvokeModel whose answer goes to S3."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Any

import orjson

from outcrop import jobs
from outcrop.batch import listing
from outcrop.batch.async_run import INPUT, OUTPUT
from outcrop.batch.submitted import ASYNC, arn_of, body_of, folder_of, key_of, submitted
from outcrop.context import Context
from outcrop.encryption import named
from outcrop.errors import ConflictException, ValidationException
from outcrop.identity import arns
from outcrop.jobs import Job, Status
from outcrop.models.model import Model
from outcrop.objects.errors import ObjectsError
from outcrop.objects.names import parse
from outcrop.shapes.bedrock_runtime import (
    AsyncInvokeSummary,
    GetAsyncInvokeRequest,
    GetAsyncInvokeResponse,
    ListAsyncInvokesRequest,
    ListAsyncInvokesResponse,
    StartAsyncInvokeRequest,
    StartAsyncInvokeResponse,
)
from outcrop.store.ids import new_id
from outcrop.tags import kinds, tags
from outcrop.tags.kinds import TAGGABLE
from outcrop.wire.operations import Operations

runtime = Operations("bedrock-runtime")

TAGGABLE[ASYNC] = kinds.job(ASYNC)

_POSSIBLE: dict[str, tuple[Status, ...]] = {
    "InProgress": ("queued", "running", "stopping"),
    "Completed": ("completed",),
    "Failed": ("failed", "stopped"),
}


@runtime
def start_async_invoke(ctx: Context, request: StartAsyncInvokeRequest) -> StartAsyncInvokeResponse:
    model = ctx.catalogue.resolve(request["modelId"], account=ctx.account, region=ctx.region)
    _check_model(model)
    tags.check(request.get("tags", []))
    job_id = new_id()
    folder = folder_of(request, job_id)
    _check_output(ctx, request, folder)
    body = orjson.dumps(request["modelInput"], option=orjson.OPT_SORT_KEYS)
    # The input may be as large as a body, and rows of jobs are read often.
    kept = {**request, "modelInput": None, "modelArn": model.arn(ctx.region), "input": hashlib.sha256(body).hexdigest()}
    try:
        key = key_of(request, ctx.account, ctx.region)
        ctx.objects.put(f"{folder}/{INPUT}", body, content_type="application/json", key=key)
        job, is_new = _made(ctx, request, kept, job_id)
    except ObjectsError as problem:
        raise ValidationException(f"Invalid Output Config: {folder}: {problem.message}") from None
    except jobs.TokenReused:
        _forget(ctx, folder)
        raise ConflictException("The clientRequestToken was used before with other parameters.") from None
    if not is_new:
        _forget(ctx, folder)
    return {"invocationArn": arn_of(job)}


@runtime
def get_async_invoke(ctx: Context, request: GetAsyncInvokeRequest) -> GetAsyncInvokeResponse:
    arn = arns.parse(request["invocationArn"])
    job = None
    if (arn.account, arn.region) == (ctx.account, ctx.region):
        job = jobs.find(ctx.database, ctx.account, ctx.region, ASYNC, arn.resource.rpartition("/")[2])
    if job is None:
        raise ValidationException(f"The invocation {request['invocationArn']} could not be found.")
    return {**_summary(job)}  # type: ignore[typeddict-item]  # the same members, of which the response needs the status


@runtime
def list_async_invokes(ctx: Context, request: ListAsyncInvokesRequest) -> ListAsyncInvokesResponse:
    wanted = request.get("statusEquals")
    found, following = listing.page(
        ctx,
        ASYNC,
        request.get("maxResults"),
        request.get("nextToken"),
        query="all",
        fits=lambda _: True,
        statuses=() if wanted is None else _POSSIBLE[wanted],
        created_after=request.get("submitTimeAfter"),
        created_before=request.get("submitTimeBefore"),
        descending=request.get("sortOrder") != "Ascending",
    )
    response: ListAsyncInvokesResponse = {"asyncInvokeSummaries": [_summary(job) for job in found]}
    if following is not None:
        response["nextToken"] = following
    return response


def _check_model(model: Model) -> None:
    """Models that rerank answer at once or not at all, and imported ones have no such interface."""
    able = model.capabilities
    if model.family == "imported" or not (able.chat or able.embeddings) or "rerank" in model.family:
        raise ValidationException("The provided model doesn't support asynchronous invocation.")


def _check_output(ctx: Context, request: StartAsyncInvokeRequest, folder: str) -> None:
    given = request["outputDataConfig"]["s3OutputDataConfig"]
    if "kmsKeyId" in given:
        named(ctx, given["kmsKeyId"])
    if given.get("bucketOwner", ctx.account) != ctx.account:
        raise ValidationException(
            f"The bucket of {given['s3Uri']} does not belong to the account {given['bucketOwner']}."
        )
    try:
        at = parse(f"{folder}/{OUTPUT}")
    except ObjectsError as problem:
        raise ValidationException(f"Invalid Output Config: {given['s3Uri']}: {problem.message}") from None
    ctx.require("s3:PutObject", f"arn:aws:s3:::{at.bucket}/{at.key}")


def _made(ctx: Context, request: StartAsyncInvokeRequest, kept: dict[str, Any], job_id: str) -> jobs.Created:
    with ctx.database.transaction() as transaction:
        made = jobs.create(
            transaction,
            ctx.account,
            ctx.region,
            ASYNC,
            body_of(kept, ctx.caller),
            request.get("clientRequestToken"),
            now=ctx.now(),
            job_id=job_id,
        )
        if made.is_new:
            tags.add(transaction, arn_of(made.job), request.get("tags", []))
    return made


def _forget(ctx: Context, folder: str) -> None:
    with suppress(ObjectsError):
        ctx.objects.delete(f"{folder}/{INPUT}")


def _summary(job: Job) -> AsyncInvokeSummary:
    request: Any = submitted(job).request
    summary: AsyncInvokeSummary = {
        "invocationArn": arn_of(job),
        "modelArn": request["modelArn"],
        "status": next(name for name, possible in _POSSIBLE.items() if job.status in possible),
        "submitTime": job.created_at,
        "lastModifiedTime": job.updated_at,
        "outputDataConfig": request["outputDataConfig"],
    }
    if "clientRequestToken" in request:
        summary["clientRequestToken"] = request["clientRequestToken"]
    if job.reason is not None:
        summary["failureMessage"] = job.reason[:2048]
    if job.ended_at is not None:
        summary["endTime"] = job.ended_at
    return summary
