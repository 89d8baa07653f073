"""The model that an identifier of a job means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outcrop.context import Parts
from outcrop.errors import ValidationException
from outcrop.models import routers
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


def check_latency(performance: Mapping[str, Any] | None, model: Model, identifier: str) -> None:
    """ValidationException at once, and not from each prompt."""
    if (performance or {}).get("latency") == "optimized" and not model.latency_optimized:
        raise ValidationException(f"Latency performance configuration is not supported for {identifier}.")
