"""CreateCustomModel, GetCustomModel, ListCustomModels, DeleteCustomModel."""

from __future__ import annotations

from typing import Any

from outcrop import jobs
from outcrop.batch.submitted import body_of
from outcrop.context import Context
from outcrop.customization import folders
from outcrop.customization.copying import COPY
from outcrop.customization.creating import CREATING
from outcrop.customization.job_operations import metrics_of
from outcrop.customization.names import check_free, key_of, open_jobs
from outcrop.errors import ConflictException, ResourceNotFoundException, ValidationException
from outcrop.identity import actions
from outcrop.models import custom, deployments, throughput
from outcrop.models.custom import CustomModel
from outcrop.models.identifiers import parse
from outcrop.objects import names
from outcrop.objects.errors import ObjectsError
from outcrop.shapes.bedrock import (
    CreateCustomModelRequest,
    CreateCustomModelResponse,
    CustomModelSummary,
    DeleteCustomModelRequest,
    DeleteCustomModelResponse,
    GetCustomModelRequest,
    GetCustomModelResponse,
    ListCustomModelsRequest,
    ListCustomModelsResponse,
)
from outcrop.store.database import Database, Transaction
from outcrop.store.paging import page
from outcrop.tags import tags
from outcrop.tags.kinds import TAGGABLE
from outcrop.wire.operations import Operations

bedrock = Operations("bedrock")

_TOLD = (
    "jobName",
    "jobArn",
    "hyperParameters",
    "trainingDataConfig",
    "validationDataConfig",
    "outputDataConfig",
    "customizationConfig",
)


def _arn_named(database: Database, account: str, region: str, name: str) -> str | None:
    """For policies, which go by ARNs."""
    found = custom.named(database, account, region, "custom", name)
    return None if found is None else found.arn


actions.NAMES["custom-model"] = _arn_named
TAGGABLE["custom-model"] = lambda ctx, names: (
    (found := custom.find(ctx.database, names["id12"])) is not None
    and (found.account, found.region, found.kind) == (ctx.account, ctx.region, "custom")
)


@bedrock
def create_custom_model(ctx: Context, request: CreateCustomModelRequest) -> CreateCustomModelResponse:
    """Of a Hugging Face folder or a GGUF file in S3."""
    _check_source(request)
    tags.check(request.get("modelTags", []))
    body = {**body_of(request, ctx.caller), "key": key_of(ctx, request.get("modelKmsKeyArn"))}
    now = ctx.now()
    try:
        with ctx.database.transaction() as transaction:
            made = jobs.create(
                transaction,
                ctx.account,
                ctx.region,
                CREATING,
                body,
                request.get("clientRequestToken"),
                now=now,
                name=request["modelName"],
            )
            arn = custom.build_arn("custom", ctx.region, ctx.account, made.job.id, "imported")
            if made.is_new:
                check_free(transaction, ctx, request["modelName"])
                custom.add(transaction, _creating(ctx, request, made.job.id, arn, body["key"]))
                tags.add(transaction, arn, request.get("modelTags", []))
    except jobs.TokenReused:
        raise ConflictException("The clientRequestToken was used before with other parameters.") from None
    return {"modelArn": arn}


def _check_source(request: CreateCustomModelRequest) -> None:
    if "modelPackageArnDataSource" in request.get("customModelDataSource", {}):
        raise ValidationException("There are no SageMaker model packages here. Give modelSourceConfig.s3DataSource.")
    source = request.get("modelSourceConfig", {}).get("s3DataSource")
    if source is None:
        raise ValidationException("modelSourceConfig.s3DataSource is needed.")
    try:
        names.parse(source["s3Uri"])
    except ObjectsError as problem:
        raise ValidationException(f"{source['s3Uri']}: {problem.message}") from None


def _creating(ctx: Context, request: CreateCustomModelRequest, model_id: str, arn: str, key: str | None) -> CustomModel:
    now = ctx.now()
    return CustomModel(
        id=model_id,
        account=ctx.account,
        region=ctx.region,
        kind="custom",
        name=request["modelName"],
        arn=arn,
        base_arn=None,
        foundation=None,
        customization_type="IMPORTED",
        status="Creating",
        failure=None,
        serving="own",
        file="",
        details={"key": key},
        client_token=None,
        request_hash=None,
        created_at=now,
        updated_at=now,
    )


@bedrock
def get_custom_model(ctx: Context, request: GetCustomModelRequest) -> GetCustomModelResponse:
    model = found(ctx, request["modelIdentifier"])
    response: GetCustomModelResponse = {
        "modelArn": model.arn,
        "modelName": model.name,
        "creationTime": model.created_at,
        "modelStatus": model.status,
    }
    members: Any = response
    if model.base_arn is not None:
        members["baseModelArn"] = model.base_arn
    if model.customization_type is not None:
        members["customizationType"] = model.customization_type
    if model.failure is not None:
        members["failureMessage"] = model.failure
    members.update({name: model.details[name] for name in _TOLD if name in model.details})
    members.update(metrics_of(model.details))
    if model.details.get("key") is not None:
        members["modelKmsKeyArn"] = model.details["key"]
    return response


@bedrock
def list_custom_models(ctx: Context, request: ListCustomModelsRequest) -> ListCustomModelsResponse:
    rows = [] if request.get("isOwned") is False else custom.all_of(ctx.database, ctx.account, ctx.region, "custom")
    descending = request.get("sortOrder") != "Ascending"
    chosen, following = page(
        sorted((row for row in rows if _fits(row, request)), key=_position, reverse=descending),
        request.get("maxResults"),
        request.get("nextToken"),
        query=f"ListCustomModels {ctx.account} {ctx.region} {filters(request)}",
        key=ctx.parts.vault.subkey("paging"),
        position=_position,
        descending=descending,
    )
    response: ListCustomModelsResponse = {"modelSummaries": [_summary(row) for row in chosen]}
    if following is not None:
        response["nextToken"] = following
    return response


@bedrock
def delete_custom_model(ctx: Context, request: DeleteCustomModelRequest) -> DeleteCustomModelResponse:
    model = found(ctx, request["modelIdentifier"])
    with ctx.database.transaction() as transaction:
        _check_unused(transaction, model)
        custom.remove(transaction, model.id)
        tags.forget(transaction, model.arn)
    ctx.catalogue.refresh()
    folders.forget_model(ctx.engines.home, model.id)
    return {}


def found(ctx: Context, identifier: str) -> CustomModel:
    model = custom.named(ctx.database, ctx.account, ctx.region, "custom", identifier)
    if model is None:
        raise ResourceNotFoundException(f"The custom model {identifier} could not be found.")
    return model


def filters(request: Any) -> str:
    """What a page's token is valid for."""
    return repr(sorted((k, str(v)) for k, v in request.items() if k not in ("maxResults", "nextToken")))


def _check_unused(transaction: Transaction, model: CustomModel) -> None:
    """ConflictException while something needs it."""
    for deployment in deployments.everything(transaction):
        if model.id in (deployment.model, deployment.desired):
            raise ConflictException(f"The custom model {model.arn} is deployed as {deployment.arn}. Delete that first.")
    for row in throughput.everything(transaction):
        if row.model_arn == model.arn:
            raise ConflictException(f"The custom model {model.arn} has Provisioned Throughput: {row.arn}.")
    for job in open_jobs(transaction, model.account, model.region):
        if job.input["base"]["arn"] == model.arn:
            raise ConflictException(f"The custom model {model.arn} is being customized further.")
    copying = transaction.query("SELECT account_id, region FROM jobs WHERE kind = ? AND ended_at IS NULL", COPY)
    for account, region in {(row["account_id"], row["region"]) for row in copying}:
        if any(job.input["source"] == model.id for job in open_jobs(transaction, account, region, COPY)):
            raise ConflictException(f"The custom model {model.arn} is being copied.")
    if model.status == "Creating":
        raise ConflictException(f"The custom model {model.arn} is being created.")


def _fits(row: CustomModel, request: ListCustomModelsRequest) -> bool:
    after, before = request.get("creationTimeAfter"), request.get("creationTimeBefore")
    foundation = request.get("foundationModelArnEquals")
    return (
        (after is None or row.created_at >= after)
        and (before is None or row.created_at <= before)
        and request.get("modelStatus") in (None, row.status)
        and request.get("baseModelArnEquals") in (None, row.base_arn)
        and (foundation is None or parse(foundation).name == row.foundation)
        and request.get("nameContains", "") in row.name
    )


def _summary(row: CustomModel) -> CustomModelSummary:
    base = row.base_arn or ""
    summary: CustomModelSummary = {
        "modelArn": row.arn,
        "modelName": row.name,
        "creationTime": row.created_at,
        "baseModelArn": base,
        "baseModelName": row.foundation or "",
        "ownerAccountId": row.account,
        "modelStatus": row.status,
    }
    if row.customization_type is not None:
        summary["customizationType"] = row.customization_type
    return summary


def _position(row: CustomModel) -> str:
    return f"{row.created_at.isoformat(timespec='milliseconds')} {row.id}"
