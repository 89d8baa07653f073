"""CreateModelImportJob, GetModelImportJob, ListModelImportJobs; GetImportedModel, ListImportedModels, DeleteImportedModel."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime
from typing import Any

from outcrop import jobs
from outcrop.batch import listing
from outcrop.batch.submitted import arn_of, body_of, submitted
from outcrop.context import Context
from outcrop.errors import ConflictException, ResourceNotFoundException, ValidationException
from outcrop.identity import actions, arns
from outcrop.jobs import Job
from outcrop.jobs.job import Status
from outcrop.model_import.run import KIND
from outcrop.models import custom
from outcrop.models.custom import CustomModel
from outcrop.objects.errors import ObjectsError
from outcrop.objects.names import parse
from outcrop.shapes.bedrock import (
    CreateModelImportJobRequest,
    CreateModelImportJobResponse,
    DeleteImportedModelRequest,
    DeleteImportedModelResponse,
    GetImportedModelRequest,
    GetImportedModelResponse,
    GetModelImportJobRequest,
    GetModelImportJobResponse,
    ImportedModelSummary,
    ListImportedModelsRequest,
    ListImportedModelsResponse,
    ListModelImportJobsRequest,
    ListModelImportJobsResponse,
    ModelImportJobSummary,
)
from outcrop.store.database import Database
from outcrop.store.paging import page
from outcrop.tags import kinds, tags
from outcrop.tags.kinds import TAGGABLE
from outcrop.wire.operations import Operations

bedrock = Operations("bedrock")

TAGGABLE[KIND] = kinds.job(KIND)
TAGGABLE["imported-model"] = lambda ctx, names: (
    custom.named(
        ctx.database,
        ctx.account,
        ctx.region,
        "imported",
        custom.build_arn("imported", ctx.region, ctx.account, names["id12"], ""),
    )
    is not None
)

_POSSIBLE: dict[str, tuple[Status, ...]] = {
    "InProgress": ("queued", "running", "stopping"),
    "Completed": ("completed",),
    "Failed": ("failed", "stopped"),
}


def _arn_named(database: Database, account: str, region: str, name: str) -> str | None:
    found = custom.named(database, account, region, "imported", name)
    return None if found is None else found.arn


actions.NAMES["imported-model"] = _arn_named


@bedrock
def create_model_import_job(ctx: Context, request: CreateModelImportJobRequest) -> CreateModelImportJobResponse:
    _check(ctx, request)
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
            arn = arn_of(made.job)
            if made.is_new:
                # Within the transaction: a repeated call must find its job, and not the model that the job made.
                taken = custom.named(transaction, ctx.account, ctx.region, "imported", request["importedModelName"])
                if taken is not None:
                    raise ConflictException(f"An imported model {request['importedModelName']} exists already.")
                tags.add(transaction, arn, request.get("jobTags", []))
    except jobs.TokenReused:
        raise ConflictException("The clientRequestToken was used before with other parameters.") from None
    except jobs.NameTaken:
        raise ConflictException(f"A model import job {request['jobName']} exists already.") from None
    return {"jobArn": arn}


@bedrock
def get_model_import_job(ctx: Context, request: GetModelImportJobRequest) -> GetModelImportJobResponse:
    job = _job(ctx, request["jobIdentifier"])
    given: Any = submitted(job).request
    response: GetModelImportJobResponse = {
        **_job_summary(job),  # type: ignore[typeddict-item]  # the summary's members are the response's
        "roleArn": given["roleArn"],
        "modelDataSource": given["modelDataSource"],
    }
    if job.reason is not None:
        response["failureMessage"] = job.reason[:2048]
    return response


@bedrock
def list_model_import_jobs(ctx: Context, request: ListModelImportJobsRequest) -> ListModelImportJobsResponse:
    wanted = request.get("statusEquals")
    found, following = listing.page(
        ctx,
        KIND,
        request.get("maxResults"),
        request.get("nextToken"),
        query="imports",
        fits=lambda job: True,
        statuses=() if wanted is None else _POSSIBLE[wanted],
        name_contains=request.get("nameContains"),
        created_after=request.get("creationTimeAfter"),
        created_before=request.get("creationTimeBefore"),
        descending=request.get("sortOrder") != "Ascending",
    )
    response: ListModelImportJobsResponse = {"modelImportJobSummaries": [_job_summary(job) for job in found]}
    if following is not None:
        response["nextToken"] = following
    return response


@bedrock
def get_imported_model(ctx: Context, request: GetImportedModelRequest) -> GetImportedModelResponse:
    model = _model(ctx, request["modelIdentifier"])
    response: GetImportedModelResponse = {
        "modelArn": model.arn,
        "modelName": model.name,
        "jobName": model.details["jobName"],
        "jobArn": model.details["jobArn"],
        "creationTime": model.created_at,
        "modelArchitecture": model.details["modelArchitecture"],
        "instructSupported": model.details["instructSupported"],
        # One copy runs here, whatever its size.
        "customModelUnits": {"customModelUnitsPerModelCopy": 1, "customModelUnitsVersion": "v1.0"},
    }
    # One that was pretrained here came from nowhere.
    if "modelDataSource" in model.details:
        response["modelDataSource"] = model.details["modelDataSource"]
    return response


@bedrock
def list_imported_models(ctx: Context, request: ListImportedModelsRequest) -> ListImportedModelsResponse:
    name, after, before = (
        request.get("nameContains"),
        request.get("creationTimeAfter"),
        request.get("creationTimeBefore"),
    )
    descending = request.get("sortOrder") != "Ascending"
    rows = [
        model
        for model in custom.all_of(ctx.database, ctx.account, ctx.region, "imported")
        if (name is None or name in model.name) and _between(model.created_at, after, before)
    ]
    position: Callable[[CustomModel], str] = lambda model: f"{model.created_at.isoformat()} {model.id}"  # noqa: E731
    chosen, following = page(
        sorted(rows, key=position, reverse=descending),
        request.get("maxResults"),
        request.get("nextToken"),
        query=f"imported models {ctx.account} {ctx.region} {(name, after, before, descending)}",
        key=ctx.parts.vault.subkey("paging"),
        position=position,
        descending=descending,
    )
    response: ListImportedModelsResponse = {"modelSummaries": [_model_summary(model) for model in chosen]}
    if following is not None:
        response["nextToken"] = following
    return response


@bedrock
def delete_imported_model(ctx: Context, request: DeleteImportedModelRequest) -> DeleteImportedModelResponse:
    model = _model(ctx, request["modelIdentifier"])
    with ctx.database.transaction() as transaction:
        custom.remove(transaction, model.id)
        tags.forget(transaction, model.arn)
    # The engine has its file open, and goes on with the requests that it has.
    ctx.catalogue.refresh()
    shutil.rmtree(custom.folder(ctx.engines.home, model.id), ignore_errors=True)
    return {}


def _check(ctx: Context, request: CreateModelImportJobRequest) -> None:
    tags.check(request.get("jobTags", []))
    tags.check(request.get("importedModelTags", []))
    if "vpcConfig" in request:
        raise ValidationException("vpcConfig is not built in this version of Outcrop. Remove it and try again.")
    if "importedModelKmsKeyId" in request:
        raise ValidationException(
            "Weights are files that an engine maps into memory, and are not encrypted by Outcrop. Remove "
            "importedModelKmsKeyId, and keep the data folder on an encrypted disk."
        )
    source = request["modelDataSource"].get("s3DataSource")
    if source is None:
        raise ValidationException("modelDataSource needs an s3DataSource.")
    try:
        parse(source["s3Uri"])
    except ObjectsError as problem:
        raise ValidationException(f"{source['s3Uri']}: {problem.message}") from None


def _job(ctx: Context, identifier: str) -> Job:
    job_id = identifier
    if identifier.startswith("arn:"):
        arn = arns.parse(identifier)
        ours = (arn.account, arn.region) == (ctx.account, ctx.region)
        job_id = arn.resource.rpartition("/")[2] if ours else ""
    job = jobs.find(ctx.database, ctx.account, ctx.region, KIND, job_id) if job_id else None
    if job is None:
        raise ResourceNotFoundException(f"The model import job {identifier} could not be found.")
    return job


def _model(ctx: Context, identifier: str) -> CustomModel:
    found = custom.named(ctx.database, ctx.account, ctx.region, "imported", identifier)
    if found is None:
        raise ResourceNotFoundException(f"The imported model {identifier} could not be found.")
    return found


def _job_summary(job: Job) -> ModelImportJobSummary:
    given: Any = submitted(job).request
    summary: ModelImportJobSummary = {
        "jobArn": arn_of(job),
        "jobName": given["jobName"],
        "importedModelName": given["importedModelName"],
        "status": next(name for name, statuses in _POSSIBLE.items() if job.status in statuses),
        "creationTime": job.created_at,
        "lastModifiedTime": job.updated_at,
    }
    if job.ended_at is not None:
        summary["endTime"] = job.ended_at
    if job.result is not None and "arn" in job.result:
        summary["importedModelArn"] = job.result["arn"]
    return summary


def _model_summary(model: CustomModel) -> ImportedModelSummary:
    return {
        "modelArn": model.arn,
        "modelName": model.name,
        "creationTime": model.created_at,
        "instructSupported": model.details["instructSupported"],
        "modelArchitecture": model.details["modelArchitecture"],
    }


def _between(moment: datetime, after: datetime | None, before: datetime | None) -> bool:
    return (after is None or moment > after) and (before is None or moment < before)
