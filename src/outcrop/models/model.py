"""One model of the catalogue, as everything outside the engines sees it."""

from __future__ import annotations

from dataclasses import dataclass

from outcrop.engines.engine import Capabilities
from outcrop.identity import arns
from outcrop.settings import FamilyName


@dataclass(frozen=True, slots=True)
class Model:
    """`id` is the engine's: what really answers, whatever name the caller used.

    `family` is the form of its native bodies, a name of `models/families.py`. It follows the name that the caller used:
    who calls `meta.llama3-...` sends Llama's bodies, whatever model that is an alias for. `quality` is the settings'.
    `reservation` is the id of the provisioned throughput by which the caller named it. `own_arn` is that of a custom or
    imported model.
    """

    id: str
    name: str
    provider: str
    capabilities: Capabilities
    max_output_tokens: int
    default_max_tokens: int | None
    on_demand: bool = True
    latency_optimized: bool = False
    # Whether an alias's name was used.
    alias: bool = False
    family: FamilyName = "anthropic"
    quality: float | None = None
    reservation: str | None = None
    own_arn: str | None = None

    def arn(self, region: str) -> str:
        if self.own_arn is not None:
            return self.own_arn
        return arns.build("foundation-model", region, "", model=self.id)

    @property
    def input_modalities(self) -> list[str]:
        return ["TEXT", "IMAGE"] if self.capabilities.images else ["TEXT"]

    @property
    def output_modalities(self) -> list[str]:
        return ["EMBEDDING"] if self.capabilities.embeddings and not self.capabilities.chat else ["TEXT"]

    @property
    def inference_types(self) -> list[str]:
        return ["ON_DEMAND"] if self.on_demand else ["INFERENCE_PROFILE"]

    @property
    def streaming(self) -> bool:
        return self.capabilities.chat and self.capabilities.streaming
