"""Keys of servers that are somebody else's, by the environment variables that hold them."""

from __future__ import annotations

import os

from outcrop.engines.engine import EngineError
from outcrop.settings import ModelSpec


def key_of(spec: ModelSpec) -> str | None:
    """None where the settings name no variable; EngineError if they do and it is not set."""
    if spec.api_key_env is None:
        return None
    key = os.environ.get(spec.api_key_env)
    if not key:
        raise EngineError(
            f"The environment variable {spec.api_key_env}, which holds the key for {spec.id}, is not set."
        )
    return key
