"""Anthropic's interface: messages, counting their tokens, models.

Source: https://docs.claude.com/en/api/messages and the user guide's "Use the Messages API".
"""

from __future__ import annotations

from outcrop.compatible.anthropic import dialect, messages, models
from outcrop.compatible.endpoint import Endpoint

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint("anthropic.CreateMessage", "POST", "messages", messages.create, dialect),
    Endpoint("anthropic.CountTokens", "POST", "messages/count_tokens", messages.count_tokens, dialect),
    Endpoint("anthropic.ListModels", "GET", "models", models.list_models, dialect),
    Endpoint("anthropic.GetModel", "GET", "models/{id}", models.get_model, dialect),
)
