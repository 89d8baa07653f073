"""Bedrock's tagging operations, for every kind of resource that exists."""

from __future__ import annotations

from outcrop.context import Context
from outcrop.errors import ResourceNotFoundException
from outcrop.identity import arns
from outcrop.shapes.bedrock import (
    ListTagsForResourceRequest,
    ListTagsForResourceResponse,
    TagResourceRequest,
    TagResourceResponse,
    UntagResourceRequest,
    UntagResourceResponse,
)
from outcrop.tags import tags
from outcrop.tags.kinds import TAGGABLE
from outcrop.wire.operations import Operations

bedrock = Operations("bedrock")


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
    exists = TAGGABLE.get(kind)
    if exists is None or (arn.account, arn.region) != (ctx.account, ctx.region) or not exists(ctx, names):
        raise _unknown(text)
    return str(arn)


def _unknown(arn: str) -> ResourceNotFoundException:
    return ResourceNotFoundException(f"The resource {arn} could not be found. Check the ARN and try again.")
