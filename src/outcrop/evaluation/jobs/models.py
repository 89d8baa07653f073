"""The model that an identifier of a job means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outcrop.context import Parts
from outcrop.errors import ValidationException
from outcrop.evaluation.jobs.plan import ModelPlan
from outcrop.identity import arns
from outcrop.models import routers
from outcrop.models.identifiers import without_geography
from outcrop.models.model import Model


def model_of(parts: Parts, identifier: str, account: str, region: str) -> Model:
    """Of a prompt router, its fallback: what there is to know of a model beforehand is known of that one.

    AwsError if there is none.
    """
    if ":prompt-router/" in identifier:
        router = routers.named(parts.database, account, region, identifier)
        if router is not None:
            identifier = router.fallback
    return parts.catalogue.resolve(identifier, account=account, region=region)


def named_arn(identifier: str, account: str, region: str) -> str:
    """The ARN of what is named, which for an alias is not the model that answers."""
    if identifier.startswith("arn:"):
        return identifier
    if without_geography(identifier) is not None:
        return arns.build("inference-profile", region, account, model=identifier)
    return arns.build("foundation-model", region, "", model=identifier)


def shown(model: ModelPlan, account: str, region: str) -> str:
    """What output calls a model: its ARN, or the source of answers that came with the data."""
    return model.name if model.identifier is None else named_arn(model.identifier, account, region)


def check_latency(performance: Mapping[str, Any] | None, model: Model, identifier: str) -> None:
    """ValidationException at once, and not from each prompt."""
    if (performance or {}).get("latency") == "optimized" and not model.latency_optimized:
        raise ValidationException(f"Latency performance configuration is not supported for {identifier}.")
