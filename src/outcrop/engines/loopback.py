"""Which addresses are this machine's own, and which engines are not on it."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from outcrop.settings import EngineSpec


def is_loopback(url: str) -> bool:
    """Whether `url` (or a bare host) leads nowhere but to this machine. Names other than `localhost` are not looked up."""
    try:
        host = urlsplit(url if "//" in url else f"//{url}").hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def leaves_this_machine(spec: EngineSpec) -> bool:
    """Whether prompts to this engine go somewhere else."""
    return spec.engine in ("bedrock", "anthropic", "openai") and (spec.url is None or not is_loopback(spec.url))
