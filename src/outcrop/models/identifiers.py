"""The forms in which a caller may name a model, taken apart without asking whether it exists.

Source: the patterns `ConversationalModelId` and `InvokeModelIdentifier` in the service model of bedrock-runtime.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, TypeAlias

from outcrop.identity import arns

# Geographies that system-defined inference profiles are named for; `us.` + model id.
GEOGRAPHIES = ("us-gov", "us", "eu", "apac", "jp", "au", "ca", "global")

Kind: TypeAlias = Literal[
    "id",
    "foundation-model",
    "inference-profile",
    "application-inference-profile",
    "provisioned-model",
    "custom-model",
    "custom-model-deployment",
    "imported-model",
    "prompt",
    "other",
]


@dataclass(frozen=True, slots=True)
class Identifier:
    """`name` is a model or profile id, or the whole text where the kind has neither; `arn` is None for a plain id.

    A custom or imported model's name is that of its engine.
    """

    kind: Kind
    name: str
    arn: arns.Arn | None = None


@lru_cache(maxsize=4096)
def parse(text: str) -> Identifier:
    """Never fails: what is no ARN is an id."""
    if not text.startswith("arn:"):
        return Identifier("id", text)
    try:
        arn = arns.parse(text)
    except ValueError:
        return Identifier("other", text)
    kind, names = arns.recognize(arn) or ("other", {})
    if kind == "foundation-model":
        return Identifier("foundation-model", names["model"], arn)
    if kind == "inference-profile":
        return Identifier("inference-profile", names["model"], arn)
    if kind == "application-inference-profile":
        return Identifier("application-inference-profile", names["id12"], arn)
    if kind == "provisioned-model":
        return Identifier("provisioned-model", names["id12"], arn)
    if kind == "custom-model-deployment":
        return Identifier("custom-model-deployment", names["id12"], arn)
    if kind in ("custom-model", "imported-model"):
        return Identifier(
            "custom-model" if kind == "custom-model" else "imported-model", f"custom-model/{names['id12']}", arn
        )
    return Identifier("prompt" if kind in ("prompt", "prompt-version") else "other", text, arn)


def without_geography(name: str) -> str | None:
    """The model id in the name of a system-defined profile; None if the name has no geography in front."""
    geography, dot, rest = name.partition(".")
    return rest if dot and geography in GEOGRAPHIES and "." in rest else None


def geography_of(region: str) -> str:
    """The geography that AWS counts a region to."""
    if region.startswith("us-gov-"):
        return "us-gov"
    return {"ap": "apac", "eu": "eu", "ca": "ca"}.get(region.partition("-")[0], "us")
