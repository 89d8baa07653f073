"""Bedrock's tagging operations, for every kind of resource that exists."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from outcrop import jobs
from outcrop.context import Context
from outcrop.errors import ResourceNotFoundException
from outcrop.identity import arns
from outcrop.models import profiles, routers, throughput
from outcrop.shapes.bedrock import (
    ListTagsForResourceRequest,
    ListTagsForResourceResponse,
    TagResourceRequest,
    TagResourceResponse,
    UntagResourceRequest,
    UntagResourceResponse,
)
from outcrop.tags import tags
from outcrop.wire.operations import Operations

bedrock = Operations("bedrock")

Exists = Callable[[Context, Mapping[str, str]], bool]


@bedrock
def tag_resource(ctx: Context, request: TagResourceRequest) -> TagResourceResponse:
    arn = existing(ctx, request["resourceARN"])
    with ctx.database.transaction() as transaction:
        tags.add(transaction, arn, request["tags"])
    return {}


@bedrock
def untag_resource(ctx: Context, request: UntagResourceRequest) -> UntagResourceResponse:
    arn = existing(ctx, request["resourceARN"])
    tags.check_keys(request["tagKeys"])
    with ctx.database.transaction() as transaction:
        tags.remove(transaction, arn, request["tagKeys"])
    return {}


@bedrock
def list_tags_for_resource(ctx: Context, request: ListTagsForResourceRequest) -> ListTagsForResourceResponse:
    arn = existing(ctx, request["resourceARN"])
    return {"tags": tags.of(ctx.database, arn)}


def existing(ctx: Context, text: str) -> str:
    """The ARN, if it names a resource of the caller's account and region; ResourceNotFoundException if not."""
    try:
        arn = arns.parse(text)
    except ValueError:
        raise _unknown(text) from None
    kind, names = arns.recognize(arn) or ("", {})
    exists = _KINDS.get(kind)
    if exists is None or (arn.account, arn.region) != (ctx.account, ctx.region) or not exists(ctx, names):
        raise _unknown(text)
    return str(arn)


def _inference_profile(ctx: Context, names: Mapping[str, str]) -> bool:
    return profiles.find(ctx.database, ctx.account, ctx.region, names["id12"]) is not None


def _prompt_router(ctx: Context, names: Mapping[str, str]) -> bool:
    return routers.find(ctx.database, ctx.account, ctx.region, names["id12"]) is not None


def _provisioned_model(ctx: Context, names: Mapping[str, str]) -> bool:
    return throughput.find(ctx.database, ctx.account, ctx.region, names["id12"]) is not None


def _job(ctx: Context, kind: str, names: Mapping[str, str]) -> bool:
    job = jobs.find(ctx.database, ctx.account, ctx.region, kind, names["id12"])
    return job is not None and job.id == names["id12"]


# Kinds of taggable resources that this version has. A room that makes another kind adds its line here.
_KINDS: Mapping[str, Exists] = {
    "application-inference-profile": _inference_profile,
    "prompt-router": _prompt_router,
    "provisioned-model": _provisioned_model,
    "model-invocation-job": lambda ctx, names: _job(ctx, "model-invocation-job", names),
    "async-invoke": lambda ctx, names: _job(ctx, "async-invoke", names),
}


def _unknown(arn: str) -> ResourceNotFoundException:
    return ResourceNotFoundException(f"The resource {arn} could not be found. Check the ARN and try again.")
