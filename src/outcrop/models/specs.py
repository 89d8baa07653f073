"""The models that the settings name, and the house model that is there without being named."""

from __future__ import annotations

import logging
from importlib import resources
from pathlib import Path

from outcrop.settings import HOUSE_MODEL, ModelSpec, Settings

# Ids of the shipped models and what they are called; the first is `HOUSE_MODEL`.
HOUSE_MODELS = {
    HOUSE_MODEL: ("house-nano-v1", "House Nano"),
    "outcrop.house-nano-v2:0": ("house-nano-v2", "House Nano 2"),
    "outcrop.house-small-v1:0": ("house-small-v1", "House Small"),
}

logger = logging.getLogger("outcrop.models")


def all_specs(settings: Settings) -> tuple[ModelSpec, ...]:
    """What engines are made for. A model of the settings that has a house model's id replaces it."""
    if not settings.house_model:
        return settings.models
    named = {spec.id for spec in settings.models}
    shipped = [house_spec(model_id) for model_id in HOUSE_MODELS if model_id not in named]
    return (*(spec for spec in shipped if spec is not None), *settings.models)


def house_path(model_id: str = HOUSE_MODEL) -> Path:
    name = HOUSE_MODELS[model_id][0]
    return Path(str(resources.files("outcrop"))) / "house" / name / f"{name}.gguf"


def house_spec(model_id: str) -> ModelSpec | None:
    """None, and a line in the log, where its file is missing."""
    path = house_path(model_id)
    if not path.exists():
        logger.warning("The house model's file %s is missing, so %s is not served.", path, model_id)
        return None
    return ModelSpec(
        id=model_id,
        engine="llamacpp",
        name=HOUSE_MODELS[model_id][1],
        provider="Outcrop",
        path=str(path),
        reproducible=True,
    )
