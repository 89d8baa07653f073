"""CreateProvisionedModelThroughput and its siblings: places of a model's engines, kept for the account that has them.

They are in service at once. Of custom models, one can be exchanged for another of the same base.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Literal, cast

import orjson

from outcrop.context import Context
from outcrop.errors import (
    ConflictException,
    ResourceNotFoundException,
    ServiceQuotaExceededException,
    ValidationException,
)
from outcrop.identity import actions, arns
from outcrop.models import custom, throughput
from outcrop.models.catalogue import invalid_identifier
from outcrop.models.custom import CustomModel
from outcrop.models.identifiers import parse, without_geography
from outcrop.models.throughput import Reserved, Throughput
from outcrop.shapes.bedrock import (
    CreateProvisionedModelThroughputRequest,
    CreateProvisionedModelThroughputResponse,
    DeleteProvisionedModelThroughputRequest,
    DeleteProvisionedModelThroughputResponse,
    GetProvisionedModelThroughputRequest,
    GetProvisionedModelThroughputResponse,
    ListProvisionedModelThroughputsRequest,
    ListProvisionedModelThroughputsResponse,
    ProvisionedModelSummary,
    UpdateProvisionedModelThroughputRequest,
    UpdateProvisionedModelThroughputResponse,
)
from outcrop.store.ids import new_id
from outcrop.store.paging import page
from outcrop.tags import tags
from outcrop.tags.kinds import TAGGABLE
from outcrop.wire.operations import Operations

bedrock = Operations("bedrock")

actions.NAMES["provisioned-model"] = throughput.arn_named
TAGGABLE["provisioned-model"] = lambda ctx, names: (
    throughput.find(ctx.database, ctx.account, ctx.region, names["id12"]) is not None
)


@bedrock
def create_provisioned_model_throughput(
    ctx: Context, request: CreateProvisionedModelThroughputRequest
) -> CreateProvisionedModelThroughputResponse:
    new = _new(ctx, request)
    with ctx.database.transaction() as transaction:
        earlier = new.client_token and throughput.made_with_token(
            transaction, ctx.account, ctx.region, new.client_token
        )
        if earlier:
            return _made_earlier(earlier, new)
        model_id = _model_id(ctx, request["modelId"])
        rows = throughput.everything(transaction)
        _check_name(ctx, rows, new.name)
        _check_free(ctx.catalogue.reserved_of(rows), model_id, new)
        throughput.add(transaction, new)
        tags.add(transaction, new.arn, request.get("tags", []))
    ctx.catalogue.refresh()
    return {"provisionedModelArn": new.arn}


@bedrock
def get_provisioned_model_throughput(
    ctx: Context, request: GetProvisionedModelThroughputRequest
) -> GetProvisionedModelThroughputResponse:
    found = _found(ctx, request["provisionedModelId"])
    reserved = ctx.catalogue.reserved()
    response: GetProvisionedModelThroughputResponse = {**_summary(ctx, found, reserved)}  # type: ignore[typeddict-item]  # it is a summary with a message
    if (problem := reserved.problem(found)) is not None:
        response["failureMessage"] = problem
    return response


@bedrock
def list_provisioned_model_throughputs(
    ctx: Context, request: ListProvisionedModelThroughputsRequest
) -> ListProvisionedModelThroughputsResponse:
    reserved = ctx.catalogue.reserved()
    rows = throughput.everything(ctx.database)
    descending = request.get("sortOrder") != "Ascending"
    kept = [row for row in rows if (row.account, row.region) == (ctx.account, ctx.region)]
    found, next_token = page(
        sorted((row for row in kept if _fits(row, request, reserved)), key=_position, reverse=descending),
        request.get("maxResults"),
        request.get("nextToken"),
        query=f"ListProvisionedModelThroughputs {ctx.account} {ctx.region} {_filters(request)}",
        key=ctx.parts.vault.subkey("paging"),
        position=_position,
        descending=descending,
    )
    response: ListProvisionedModelThroughputsResponse = {
        "provisionedModelSummaries": [_summary(ctx, row, reserved) for row in found]
    }
    if next_token is not None:
        response["nextToken"] = next_token
    return response


@bedrock
def update_provisioned_model_throughput(
    ctx: Context, request: UpdateProvisionedModelThroughputRequest
) -> UpdateProvisionedModelThroughputResponse:
    found = _found(ctx, request["provisionedModelId"])
    desired = None if "desiredModelId" not in request else _desired(ctx, found, request["desiredModelId"])
    name = request.get("desiredProvisionedModelName")
    if name is None and desired is None:
        raise ValidationException("Specify desiredProvisionedModelName or desiredModelId and try again.")
    with ctx.database.transaction() as transaction:
        if name not in (None, found.name):
            _check_name(ctx, throughput.everything(transaction), name)
        if name is not None:
            throughput.rename(transaction, found, name, ctx.now())
        if desired is not None:
            throughput.exchange(transaction, found, desired, ctx.now())
    ctx.catalogue.refresh()
    return {}


@bedrock
def delete_provisioned_model_throughput(
    ctx: Context, request: DeleteProvisionedModelThroughputRequest
) -> DeleteProvisionedModelThroughputResponse:
    found = _found(ctx, request["provisionedModelId"])
    if (until := found.committed_until(ctx.now())) is not None:
        raise ConflictException(
            f"The Provisioned Throughput {found.arn} can't be deleted before its commitment term ends, at "
            f"{until.isoformat(timespec='seconds')}. It renews then, unless the operator of this server ends it."
        )
    with ctx.database.transaction() as transaction:
        throughput.remove(transaction, found)
        tags.forget(transaction, found.arn)
    ctx.catalogue.refresh()
    return {}


def _new(ctx: Context, request: CreateProvisionedModelThroughputRequest) -> Throughput:
    content = orjson.dumps({**request, "clientRequestToken": None}, option=orjson.OPT_SORT_KEYS)
    now = ctx.now()
    # One of the two that the service model names.
    commitment = cast("throughput.Commitment | None", request.get("commitmentDuration"))
    return Throughput(
        id=new_id(),
        account=ctx.account,
        region=ctx.region,
        name=request["provisionedModelName"],
        model_arn=_model_arn(ctx, request["modelId"]),
        units=request["modelUnits"],
        commitment=commitment,
        expires_at=None if commitment is None else throughput.months_after(now, throughput.MONTHS[commitment]),
        client_token=request.get("clientRequestToken"),
        request_hash=hashlib.sha256(content).hexdigest(),
        created_at=now,
        updated_at=now,
    )


def _model_arn(ctx: Context, identifier: str) -> str:
    """The ARN of the foundation model or custom model that is named. ResourceNotFoundException for another kind of model's."""
    if (own := _custom(ctx, identifier)) is not None:
        return own.arn
    name = parse(identifier)
    if name.kind not in ("id", "foundation-model"):
        raise ResourceNotFoundException(
            f"Could not resolve the foundation model from the model identifier: {identifier}"
        )
    if name.arn is not None and name.arn.region != ctx.region:
        raise invalid_identifier()
    return arns.build("foundation-model", ctx.region, "", model=name.name)


def _custom(ctx: Context, identifier: str) -> CustomModel | None:
    """The account's custom model of that ARN or name. ValidationException if it cannot be called yet."""
    name = parse(identifier)
    if name.arn is None and ctx.catalogue.spec(identifier) is not None:
        return None
    found = custom.named(ctx.database, ctx.account, ctx.region, "custom", identifier)
    if found is not None and found.status != "Active":
        raise ValidationException(f"The custom model {found.arn} is not active. Its status is {found.status}.")
    if found is not None and found.arn != identifier:
        # By its name it was taken for a foundation model when the caller's rights were asked.
        ctx.require("bedrock:CreateProvisionedModelThroughput", found.arn)
    return found


def _desired(ctx: Context, found: Throughput, identifier: str) -> str:
    """The ARN of another custom model of the same base."""
    now, desired = (
        custom.named(ctx.database, ctx.account, ctx.region, "custom", found.model_arn),
        _custom(ctx, identifier),
    )
    if now is None:
        raise ValidationException(
            "You can't specify desiredModelId: the Provisioned Throughput is associated with a base model."
        )
    if desired is None:
        raise ResourceNotFoundException(f"The custom model {identifier} could not be found.")
    if (desired.foundation, desired.serving) != (now.foundation, now.serving):
        raise ValidationException(f"The model {desired.arn} is not of the same base as {now.arn}.")
    return desired.arn


def _model_id(ctx: Context, identifier: str) -> str:
    """The engine's. A profile is no model here: it has no units."""
    if (own := _custom(ctx, identifier)) is not None:
        return own.engine_id
    name = parse(identifier).name
    profile = without_geography(name) is not None and not ctx.catalogue.is_alias(name)
    model = None if profile else ctx.catalogue.find(name)
    if model is None:
        raise invalid_identifier()
    return model.id


def _made_earlier(earlier: Throughput, again: Throughput) -> CreateProvisionedModelThroughputResponse:
    if earlier.request_hash != again.request_hash:
        raise ValidationException("The clientRequestToken was used before with other parameters.")
    return {"provisionedModelArn": earlier.arn}


def _check_name(ctx: Context, rows: list[Throughput], name: str) -> None:
    # The operations have no ConflictException.
    if any((row.account, row.region, row.name) == (ctx.account, ctx.region, name) for row in rows):
        raise ValidationException(f"A Provisioned Throughput with the name {name} already exists.")


def _check_free(reserved: Reserved, model_id: str, new: Throughput) -> None:
    free = reserved.free(model_id)
    if free is None:
        raise ValidationException(throughput.unlimited(new.model_name))
    if new.units > free:
        raise ServiceQuotaExceededException(
            f"{new.units} model units of {new.model_name} were asked for, and {free} are free. A model unit is one request "
            "at a time, and one of each engine is kept for on-demand requests."
        )


def _found(ctx: Context, identifier: str) -> Throughput:
    found = throughput.named(ctx.database, ctx.account, ctx.region, identifier)
    if found is None:
        raise ResourceNotFoundException(f"The Provisioned Throughput {identifier} could not be found.")
    return found


def _fits(row: Throughput, request: ListProvisionedModelThroughputsRequest, reserved: Reserved) -> bool:
    after, before = request.get("creationTimeAfter"), request.get("creationTimeBefore")
    return (
        (after is None or row.created_at >= after)
        and (before is None or row.created_at <= before)
        and request.get("statusEquals") in (None, _status(row, reserved))
        and request.get("modelArnEquals") in (None, row.model_arn)
        and request.get("nameContains", "") in row.name
    )


def _filters(request: ListProvisionedModelThroughputsRequest) -> str:
    return repr(
        sorted((name, str(value)) for name, value in request.items() if name not in ("maxResults", "nextToken"))
    )


def _status(row: Throughput, reserved: Reserved) -> Literal["InService", "Failed"]:
    return "InService" if reserved.problem(row) is None else "Failed"


def _summary(ctx: Context, row: Throughput, reserved: Reserved) -> ProvisionedModelSummary:
    summary: ProvisionedModelSummary = {
        "provisionedModelName": row.name,
        "provisionedModelArn": row.arn,
        "modelArn": row.model_arn,
        "desiredModelArn": row.model_arn,
        "foundationModelArn": _foundation_arn(ctx, row),
        "modelUnits": row.units,
        "desiredModelUnits": row.units,
        "status": _status(row, reserved),
        "creationTime": row.created_at,
        "lastModifiedTime": row.updated_at,
    }
    until = row.committed_until(ctx.now())
    if row.commitment is not None and until is not None:
        summary["commitmentDuration"] = row.commitment
        summary["commitmentExpirationTime"] = until
    return summary


def _position(row: Throughput) -> str:
    created: datetime = row.created_at
    return f"{created.isoformat(timespec='milliseconds')} {row.id}"


def _foundation_arn(ctx: Context, row: Throughput) -> str:
    own = custom.named(ctx.database, row.account, row.region, "custom", row.model_arn)
    if own is None or own.foundation is None:
        return row.model_arn
    return arns.build("foundation-model", row.region, "", model=own.foundation)
