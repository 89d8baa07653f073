"""GET models, GET models/{id}."""

from __future__ import annotations

from typing import Any

from outcrop.compatible import models
from outcrop.compatible.endpoint import Answered, Asking
from outcrop.context import Context
from outcrop.models.model import Model


async def list_models(ctx: Context, asking: Asking) -> Answered:
    return {"object": "list", "data": [_shown(name, model) for name, model in models.listed(ctx)]}


async def get_model(ctx: Context, asking: Asking) -> Answered:
    name = asking.labels["id"]
    return _shown(name, models.found(ctx, name))


def _shown(name: str, model: Model) -> dict[str, Any]:
    """`created` is 0: nobody knows when a model was made."""
    return {"id": name, "object": "model", "created": 0, "owned_by": model.provider}
