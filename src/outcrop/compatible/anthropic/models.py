"""GET models, GET models/{id}."""

from __future__ import annotations

from typing import Any

from outcrop.compatible import models
from outcrop.compatible.endpoint import Answered, Asking
from outcrop.context import Context
from outcrop.models.model import Model


async def list_models(ctx: Context, asking: Asking) -> Answered:
    data = [_shown(name, model) for name, model in models.listed(ctx)]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return {"data": data, "has_more": False, **ends}


async def get_model(ctx: Context, asking: Asking) -> Answered:
    name = asking.labels["id"]
    return _shown(name, models.found(ctx, name))


def _shown(name: str, model: Model) -> dict[str, Any]:
    """`created_at` is the epoch, which Anthropic too sends where the release date is not known."""
    return {"type": "model", "id": name, "display_name": model.name, "created_at": "1970-01-01T00:00:00Z"}
