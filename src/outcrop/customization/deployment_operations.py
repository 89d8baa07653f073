"""CreateCustomModelDeployment and its siblings: names by which custom models are called, on demand."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from outcrop import jobs
from outcrop.context import Context
from outcrop.customization.deploying import DEPLOYING
from outcrop.customization.model_operations import filters, found
from outcrop.errors import ResourceNotFoundException, ValidationException
from outcrop.identity import actions
from outcrop.models import custom, deployments
from outcrop.models.custom import CustomModel
from outcrop.models.deployments import Deployment
from outcrop.shapes.bedrock import (
    CreateCustomModelDeploymentRequest,
    CreateCustomModelDeploymentResponse,
    CustomModelDeploymentSummary,
    DeleteCustomModelDeploymentRequest,
    DeleteCustomModelDeploymentResponse,
    GetCustomModelDeploymentRequest,
    GetCustomModelDeploymentResponse,
    ListCustomModelDeploymentsRequest,
    ListCustomModelDeploymentsResponse,
    UpdateCustomModelDeploymentRequest,
    UpdateCustomModelDeploymentResponse,
)
from outcrop.store.database import Transaction
from outcrop.store.ids import new_id
from outcrop.store.paging import page
from outcrop.tags import tags
from outcrop.tags.kinds import TAGGABLE
from outcrop.wire.operations import Operations

bedrock = Operations("bedrock")

actions.NAMES["custom-model-deployment"] = deployments.arn_named
TAGGABLE["custom-model-deployment"] = lambda ctx, names: (
    (row := deployments.of_id(ctx.database, names["id12"])) is not None
    and (row.account, row.region) == (ctx.account, ctx.region)
)


@bedrock
def create_custom_model_deployment(
    ctx: Context, request: CreateCustomModelDeploymentRequest
) -> CreateCustomModelDeploymentResponse:
    content = orjson.dumps({**request, "clientRequestToken": None}, option=orjson.OPT_SORT_KEYS)
    token, name = request.get("clientRequestToken"), request["modelDeploymentName"]
    digest, now = hashlib.sha256(content).hexdigest(), ctx.now()
    with ctx.database.transaction() as transaction:
        earlier = token and deployments.made_with_token(transaction, ctx.account, ctx.region, token)
        if earlier:
            if earlier.request_hash != digest:
                raise ValidationException("The clientRequestToken was used before with other parameters.")
            return {"customModelDeploymentArn": earlier.arn}
        model = _model(ctx, request["modelArn"])
        taken = deployments.named(transaction, ctx.account, ctx.region, name)
        if taken is not None and taken.name == name:
            # The operation has no ConflictException.
            raise ValidationException(f"A custom model deployment with the name {name} already exists.")
        new = Deployment(
            id=new_id(),
            account=ctx.account,
            region=ctx.region,
            name=name,
            description=request.get("description"),
            model=model.id,
            status="Creating",
            failure=None,
            desired=None,
            update_status=None,
            client_token=token,
            request_hash=digest,
            created_at=now,
            updated_at=now,
        )
        deployments.add(transaction, new)
        tags.add(transaction, new.arn, request.get("tags", []))
        _deploy(transaction, ctx, new.id, model.id, update=False)
    ctx.catalogue.refresh()
    return {"customModelDeploymentArn": new.arn}


@bedrock
def get_custom_model_deployment(
    ctx: Context, request: GetCustomModelDeploymentRequest
) -> GetCustomModelDeploymentResponse:
    row = _found(ctx, request["customModelDeploymentIdentifier"])
    response: GetCustomModelDeploymentResponse = {
        "customModelDeploymentArn": row.arn,
        "modelDeploymentName": row.name,
        "modelArn": _arn(ctx, row.model),
        "createdAt": row.created_at,
        "status": row.status,
        "lastUpdatedAt": row.updated_at,
    }
    if row.description is not None:
        response["description"] = row.description
    if row.failure is not None:
        response["failureMessage"] = row.failure
    if row.update_status is not None and row.desired is not None:
        response["updateDetails"] = {"modelArn": _arn(ctx, row.desired), "updateStatus": row.update_status}
    return response


@bedrock
def list_custom_model_deployments(
    ctx: Context, request: ListCustomModelDeploymentsRequest
) -> ListCustomModelDeploymentsResponse:
    own = [
        (row, _arn(ctx, row.model))
        for row in deployments.everything(ctx.database)
        if (row.account, row.region) == (ctx.account, ctx.region)
    ]
    descending = request.get("sortOrder") != "Ascending"
    chosen, following = page(
        sorted((one for one in own if _fits(*one, request)), key=_position, reverse=descending),
        request.get("maxResults"),
        request.get("nextToken"),
        query=f"ListCustomModelDeployments {ctx.account} {ctx.region} {filters(request)}",
        key=ctx.parts.vault.subkey("paging"),
        position=_position,
        descending=descending,
    )
    response: ListCustomModelDeploymentsResponse = {"modelDeploymentSummaries": [_summary(*one) for one in chosen]}
    if following is not None:
        response["nextToken"] = following
    return response


@bedrock
def update_custom_model_deployment(
    ctx: Context, request: UpdateCustomModelDeploymentRequest
) -> UpdateCustomModelDeploymentResponse:
    """The model that answers so far does so until the new one is loaded."""
    row = _found(ctx, request["customModelDeploymentIdentifier"])
    model = _model(ctx, request["modelArn"])
    if row.status != "Active" or row.update_status == "Updating":
        raise ValidationException(
            f"The deployment {row.arn} is {'being updated' if row.update_status else row.status}."
        )
    now = custom.find(ctx.database, row.model)
    if now is not None and now.foundation != model.foundation:
        raise ValidationException(
            f"The model {model.arn} has another base model ({model.foundation}) than the deployment ({now.foundation})."
        )
    with ctx.database.transaction() as transaction:
        deployments.begin_update(transaction, row.id, model.id, ctx.now())
        _deploy(transaction, ctx, row.id, model.id, update=True)
    ctx.catalogue.refresh()
    return {"customModelDeploymentArn": row.arn}


@bedrock
def delete_custom_model_deployment(
    ctx: Context, request: DeleteCustomModelDeploymentRequest
) -> DeleteCustomModelDeploymentResponse:
    row = _found(ctx, request["customModelDeploymentIdentifier"])
    with ctx.database.transaction() as transaction:
        deployments.remove(transaction, row.id)
        tags.forget(transaction, row.arn)
    ctx.catalogue.refresh()
    return {}


def _deploy(transaction: Transaction, ctx: Context, deployment: str, model: str, *, update: bool) -> None:
    body = {"deployment": deployment, "model": model, "update": update}
    jobs.create(transaction, ctx.account, ctx.region, DEPLOYING, body, now=ctx.now())


def _model(ctx: Context, identifier: str) -> CustomModel:
    model = found(ctx, identifier)
    if model.status != "Active":
        raise ValidationException(f"The custom model {model.arn} is not active. Its status is {model.status}.")
    return model


def _found(ctx: Context, identifier: str) -> Deployment:
    row = deployments.named(ctx.database, ctx.account, ctx.region, identifier)
    if row is None:
        raise ResourceNotFoundException(f"The custom model deployment {identifier} could not be found.")
    return row


def _arn(ctx: Context, model_id: str) -> str:
    model = custom.find(ctx.database, model_id)
    assert model is not None, "a model that is deployed is not deleted"
    return model.arn


def _fits(row: Deployment, model_arn: str, request: ListCustomModelDeploymentsRequest) -> bool:
    after, before = request.get("createdAfter"), request.get("createdBefore")
    return (
        (after is None or row.created_at >= after)
        and (before is None or row.created_at <= before)
        and request.get("statusEquals") in (None, row.status)
        and request.get("modelArnEquals") in (None, model_arn)
        and request.get("nameContains", "") in row.name
    )


def _summary(row: Deployment, model_arn: str) -> CustomModelDeploymentSummary:
    summary: CustomModelDeploymentSummary = {
        "customModelDeploymentArn": row.arn,
        "customModelDeploymentName": row.name,
        "modelArn": model_arn,
        "createdAt": row.created_at,
        "status": row.status,
        "lastUpdatedAt": row.updated_at,
    }
    if row.failure is not None:
        summary["failureMessage"] = row.failure
    return summary


def _position(one: tuple[Deployment, Any]) -> str:
    return f"{one[0].created_at.isoformat(timespec='milliseconds')} {one[0].id}"
