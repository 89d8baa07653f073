"""Ways of customizing: which there are, what each needs of a request, and the trainer's name for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outcrop.customization.bases import Base
from outcrop.customization.hyperparameters import METHOD
from outcrop.errors import ValidationException
from outcrop.training.customizing.spec import Kind

# Bedrock's types and the trainer's kinds. A further one is a line here, and its part of the spec in `run.py`.
KINDS: Mapping[str, Kind] = {
    "FINE_TUNING": "fine-tuning",
    "CONTINUED_PRE_TRAINING": "continued-pre-training",
}


def chosen(request: Mapping[str, Any]) -> Kind:
    """ValidationException for a type that cannot be had, and for parts of the request that belong to another."""
    name = request.get("customizationType", "FINE_TUNING")
    kind = KINDS.get(name)
    if kind is None:
        raise ValidationException(
            f"The customization type {name} is not built in this version of Outcrop. It has {', '.join(KINDS)}."
        )
    if "customizationConfig" in request:
        raise ValidationException(f"customizationConfig does not belong to the customization type {name}.")
    return kind


def check(kind: Kind, base: Base, chosen: Mapping[str, str]) -> None:
    """ValidationException if the method does not go with the base model."""
    if base.adapter is not None and chosen[METHOD] == "full":
        raise ValidationException(
            f"The base model {base.arn} is an adapter, which can be trained further as one only. Leave {METHOD} out, or "
            "name the foundation model."
        )
