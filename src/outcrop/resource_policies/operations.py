"""PutResourcePolicy, GetResourcePolicy, DeleteResourcePolicy: what a resource itself says about who may use it."""

from __future__ import annotations

from outcrop.context import Context
from outcrop.errors import ResourceNotFoundException, ValidationException
from outcrop.identity.policies import rows
from outcrop.identity.policies.document import MalformedPolicy, read
from outcrop.shapes.bedrock import (
    DeleteResourcePolicyRequest,
    DeleteResourcePolicyResponse,
    GetResourcePolicyRequest,
    GetResourcePolicyResponse,
    PutResourcePolicyRequest,
    PutResourcePolicyResponse,
)
from outcrop.tags.operations import existing
from outcrop.wire.operations import Operations

bedrock = Operations("bedrock")


@bedrock
def put_resource_policy(ctx: Context, request: PutResourcePolicyRequest) -> PutResourcePolicyResponse:
    try:
        arn = existing(ctx, request["resourceArn"])
        read(request["resourcePolicy"], "resource")
    except ResourceNotFoundException as problem:
        # The operation has no such exception.
        raise ValidationException(problem.message) from None
    except MalformedPolicy as problem:
        raise ValidationException(f"The resource policy is malformed: {problem}") from None
    with ctx.database.transaction() as transaction:
        rows.put_resource_policy(transaction, ctx.account, arn, request["resourcePolicy"])
    return {"resourceArn": arn}


@bedrock
def get_resource_policy(ctx: Context, request: GetResourcePolicyRequest) -> GetResourcePolicyResponse:
    arn = existing(ctx, request["resourceArn"])
    document = rows.resource_policy(ctx.database, arn)
    if document is None:
        raise _none(arn)
    return {"resourcePolicy": document}


@bedrock
def delete_resource_policy(ctx: Context, request: DeleteResourcePolicyRequest) -> DeleteResourcePolicyResponse:
    arn = existing(ctx, request["resourceArn"])
    with ctx.database.transaction() as transaction:
        if not rows.remove_resource_policy(transaction, arn):
            raise _none(arn)
    return {}


def _none(arn: str) -> ResourceNotFoundException:
    return ResourceNotFoundException(f"The resource {arn} has no resource policy.")
