"""CreatePromptRouter, GetPromptRouter, ListPromptRouters, DeletePromptRouter.

Routers of the type `default` are AWS's own, over AWS's models; there are none here.
"""

from __future__ import annotations

import hashlib

import orjson

from outcrop.context import Context
from outcrop.errors import (
    ConflictException,
    ResourceNotFoundException,
    ServiceQuotaExceededException,
    ValidationException,
)
from outcrop.models import routers
from outcrop.models.routers import PromptRouter
from outcrop.shapes.bedrock import (
    CreatePromptRouterRequest,
    CreatePromptRouterResponse,
    DeletePromptRouterRequest,
    DeletePromptRouterResponse,
    GetPromptRouterRequest,
    GetPromptRouterResponse,
    ListPromptRoutersRequest,
    ListPromptRoutersResponse,
    PromptRouterSummary,
)
from outcrop.store.ids import new_id
from outcrop.store.paging import page
from outcrop.tags import tags
from outcrop.tags.kinds import TAGGABLE
from outcrop.wire.operations import Operations

bedrock = Operations("bedrock")

TAGGABLE["prompt-router"] = lambda ctx, names: (
    routers.find(ctx.database, ctx.account, ctx.region, names["id12"]) is not None
)

# Of one account in one region. AWS's own number is not published.
MOST = 100


@bedrock
def create_prompt_router(ctx: Context, request: CreatePromptRouterRequest) -> CreatePromptRouterResponse:
    router = _new(ctx, request)
    with ctx.database.transaction() as transaction:
        earlier = router.client_token and routers.made_with_token(
            transaction, ctx.account, ctx.region, router.client_token
        )
        if earlier:
            return _made_earlier(earlier, router)
        _check_models(ctx, router)
        _check_room(routers.names_of(transaction, ctx.account, ctx.region), router.name)
        routers.add(transaction, router)
        tags.add(transaction, router.arn, request.get("tags", []))
    return {"promptRouterArn": router.arn}


@bedrock
def get_prompt_router(ctx: Context, request: GetPromptRouterRequest) -> GetPromptRouterResponse:
    return {**_summary(_found(ctx, request["promptRouterArn"]))}


@bedrock
def list_prompt_routers(ctx: Context, request: ListPromptRoutersRequest) -> ListPromptRoutersResponse:
    kind = request.get("type")
    own = [] if kind == "default" else routers.all_of(ctx.database, ctx.account, ctx.region)
    found, next_token = page(
        sorted(own, key=_position),
        request.get("maxResults"),
        request.get("nextToken"),
        query=f"ListPromptRouters {ctx.account} {ctx.region} {kind}",
        key=ctx.parts.vault.subkey("paging"),
        position=_position,
    )
    response: ListPromptRoutersResponse = {"promptRouterSummaries": [_summary(router) for router in found]}
    if next_token is not None:
        response["nextToken"] = next_token
    return response


@bedrock
def delete_prompt_router(ctx: Context, request: DeletePromptRouterRequest) -> DeletePromptRouterResponse:
    router = _found(ctx, request["promptRouterArn"])
    with ctx.database.transaction() as transaction:
        routers.remove(transaction, router)
        tags.forget(transaction, router.arn)
    return {}


def _new(ctx: Context, request: CreatePromptRouterRequest) -> PromptRouter:
    content = orjson.dumps({**request, "clientRequestToken": None}, option=orjson.OPT_SORT_KEYS)
    now = ctx.now()
    return PromptRouter(
        id=new_id(),
        account=ctx.account,
        region=ctx.region,
        name=request["promptRouterName"],
        description=request.get("description"),
        models=tuple(model["modelArn"] for model in request["models"]),
        fallback=request["fallbackModel"]["modelArn"],
        difference=float(request["routingCriteria"]["responseQualityDifference"]),
        client_token=request.get("clientRequestToken"),
        request_hash=hashlib.sha256(content).hexdigest(),
        created_at=now,
        updated_at=now,
    )


def _made_earlier(earlier: PromptRouter, again: PromptRouter) -> CreatePromptRouterResponse:
    if earlier.request_hash != again.request_hash:
        raise ConflictException("The clientRequestToken was used before with other parameters.")
    return {"promptRouterArn": earlier.arn}


def _check_models(ctx: Context, router: PromptRouter) -> None:
    """Two that exist. The user guide's example names one in `models` and the other as the fallback only."""
    if not router.models:
        raise ValidationException("At least one model must be specified.")
    if len(set(router.models)) < len(router.models):
        raise ValidationException("The models of a prompt router must differ from each other.")
    if len(router.targets) != 2:
        raise ValidationException(
            "A prompt router must have exactly two models. The fallback model must be one of them, or the second one "
            "if only one is given."
        )
    for arn in sorted(router.targets):
        model = ctx.catalogue.resolve(arn, account=ctx.account, region=ctx.region)
        if not model.capabilities.chat:
            raise ValidationException(f"The model {arn} is not supported for prompt routing. Use a text model.")


def _check_room(taken: set[str], name: str) -> None:
    if name in taken:
        raise ConflictException(f"A prompt router with the name {name} already exists.")
    if len(taken) >= MOST:
        raise ServiceQuotaExceededException(
            f"You have reached the maximum number of prompt routers, which is {MOST}. Delete some and try again."
        )


def _found(ctx: Context, arn: str) -> PromptRouter:
    router = routers.named(ctx.database, ctx.account, ctx.region, arn)
    if router is None:
        raise ResourceNotFoundException(f"The prompt router {arn} could not be found.")
    return router


def _summary(router: PromptRouter) -> PromptRouterSummary:
    summary: PromptRouterSummary = {
        "promptRouterName": router.name,
        "routingCriteria": {"responseQualityDifference": router.difference},
        "createdAt": router.created_at,
        "updatedAt": router.updated_at,
        "promptRouterArn": router.arn,
        "models": [{"modelArn": arn} for arn in router.models],
        "fallbackModel": {"modelArn": router.fallback},
        "status": "AVAILABLE",
        "type": "custom",
    }
    if router.description is not None:
        summary["description"] = router.description
    return summary


def _position(router: PromptRouter) -> str:
    """Oldest first."""
    return f"{router.created_at.isoformat(timespec='milliseconds')} {router.id}"
