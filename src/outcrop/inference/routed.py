"""The model that answers a request, whether the caller named it or a prompt router chooses it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from outcrop.context import Context
from outcrop.errors import AwsError
from outcrop.inference import outlines
from outcrop.models import routers
from outcrop.models.difficulty import Outline
from outcrop.models.model import Model
from outcrop.models.routers import PromptRouter
from outcrop.models.routing import can_answer, prefers
from outcrop.shapes.bedrock_runtime import ConverseRequest, ConverseStreamRequest


@dataclass(frozen=True, slots=True)
class Routed:
    """`invoked` is the ARN by which a router names the model; None where the caller named it."""

    model: Model
    invoked: str | None = None


def converse(ctx: Context, request: ConverseRequest | ConverseStreamRequest, *, streaming: bool) -> Routed:
    """ValidationException if the identifier means no model."""
    return _routed(ctx, request["modelId"], lambda: outlines.of_converse(request, streaming=streaming), native=False)


def invoke(ctx: Context, identifier: str, body: bytes, *, streaming: bool) -> Routed:
    """ValidationException if the identifier means no model."""
    return _routed(ctx, identifier, lambda: outlines.of_body(body, streaming=streaming), native=True)


def _routed(ctx: Context, identifier: str, outline: Callable[[], Outline], *, native: bool) -> Routed:
    router = (
        routers.named(ctx.database, ctx.account, ctx.region, identifier) if ":prompt-router/" in identifier else None
    )
    if router is None:
        return Routed(_resolved(ctx, identifier))
    return _chosen(ctx, router, outline(), native=native)


def _chosen(ctx: Context, router: PromptRouter, outline: Outline, *, native: bool) -> Routed:
    """A model that is gone since the router was made, or lacks what the request needs, leaves it to the other one."""
    fallback, other = _target(ctx, router.fallback), _target(ctx, router.other)
    if isinstance(fallback, AwsError):
        if isinstance(other, AwsError):
            raise fallback
        return Routed(other, router.other)
    if isinstance(other, AwsError) or not can_answer(other, outline):
        return Routed(fallback, router.fallback)
    # A body is written for one family: only a model of the same can take it.
    if native and other.family != fallback.family:
        return Routed(fallback, router.fallback)
    if not can_answer(fallback, outline) or prefers(other, fallback, outline, router.difference):
        return Routed(other, router.other)
    return Routed(fallback, router.fallback)


def _target(ctx: Context, arn: str) -> Model | AwsError:
    try:
        return _resolved(ctx, arn)
    except AwsError as problem:
        return problem


def _resolved(ctx: Context, identifier: str) -> Model:
    return ctx.catalogue.resolve(identifier, account=ctx.account, region=ctx.region)
