"""What a request may ask of Bedrock and this version of Outcrop does not do: said, never passed over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outcrop.engines.admission import Tier, ask_for
from outcrop.errors import ValidationException
from outcrop.models.model import Model

TIERS: Mapping[str, Tier] = {"default": "default", "priority": "priority", "flex": "flex"}

GUARDRAILS = (
    "Guardrails are not built in this version of Outcrop, and a request that names one is refused rather than answered "
    "unguarded. Remove the guardrail and try again."
)


def check_converse(request: Mapping[str, Any]) -> None:
    """Members of Converse and ConverseStream that ask for what is not built."""
    if "guardrailConfig" in request:
        raise ValidationException(GUARDRAILS)
    if "promptVariables" in request:
        raise ValidationException(
            "Prompt management is not built in this version of Outcrop. Remove promptVariables and try again."
        )
    check_tier(request.get("serviceTier", {}).get("type"))


def check_invoke(request: Mapping[str, Any]) -> None:
    """Headers of InvokeModel and InvokeModelWithResponseStream that ask for what is not built."""
    if request.get("guardrailIdentifier") or request.get("guardrailVersion"):
        raise ValidationException(GUARDRAILS)
    check_tier(request.get("serviceTier"))


def check_tier(tier: str | None) -> None:
    """From here on, engines are asked in that class. Capacity that is reserved cannot be bought here."""
    if tier not in (None, *TIERS):
        raise ValidationException(
            f"The service tier {tier} is not supported for this model. Use default, priority or flex and try again."
        )
    if tier is not None:
        ask_for(TIERS[tier])


def check_latency(request: Mapping[str, Any], model: Model) -> None:
    """Of what is wanted fast, a model that is set up for it is asked in the first class; others refuse it, as on AWS."""
    latency = request.get("performanceConfigLatency") or request.get("performanceConfig", {}).get("latency")
    if latency in (None, "standard"):
        return
    if not model.latency_optimized:
        raise ValidationException(f"Latency performance configuration is not supported for {request['modelId']}.")
    ask_for("priority")
