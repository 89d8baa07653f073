"""The models that the settings name, and the house model that is there without being named."""

from __future__ import annotations

import logging
from importlib import resources
from pathlib import Path

from outcrop.settings import HOUSE_MODEL, ModelSpec, Settings

HOUSE_FILE = "house/house-nano-v1/house-nano-v1.gguf"

logger = logging.getLogger("outcrop.models")


def all_specs(settings: Settings) -> tuple[ModelSpec, ...]:
    """What engines are made for. A model of the settings that has the house model's id replaces it."""
    named = {spec.id for spec in settings.models}
    if not settings.house_model or HOUSE_MODEL in named:
        return settings.models
    path = house_path()
    if not path.exists():
        logger.warning("The house model's file %s is missing, so %s is not served.", path, HOUSE_MODEL)
        return settings.models
    return (house_spec(path), *settings.models)


def house_path() -> Path:
    return Path(str(resources.files("outcrop"))) / HOUSE_FILE


def house_spec(path: Path) -> ModelSpec:
    return ModelSpec(
        id=HOUSE_MODEL, engine="llamacpp", name="House Nano", provider="Outcrop", path=str(path), reproducible=True
    )
