"""Which addresses are this machine's own, and which engines are not on it."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from outcrop.settings import EngineSpec

# What keeps vLLM from asking a hub; it is set for every launch, and `environment` may say otherwise.
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


def is_loopback(url: str) -> bool:
    """Whether `url` (or a bare host) leads nowhere but to this machine. Names other than `localhost` are not looked up."""
    try:
        host = urlsplit(url if "//" in url else f"//{url}").hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def leaves_this_machine(spec: EngineSpec) -> bool:
    """Whether this engine is somewhere else, or may fetch something from there."""
    if spec.engine in ("bedrock", "anthropic", "openai"):
        return spec.url is None or not is_loopback(spec.url)
    return any(spec.environment.get(name, "1") != "1" for name in OFFLINE)
