"""What OpenAI itself and those that copy it closely (Azure, Gemini's endpoint) take, where model servers take more."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from outcrop.engines.engine import ChatRequest, Unsupported

OPENAI = "https://api.openai.com/v1"
_HOSTS = ("api.openai.com", "generativelanguage.googleapis.com")
_DOMAINS = (".api.openai.com", ".openai.azure.com", ".services.ai.azure.com")


def is_cloud(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in _HOSTS or host.endswith(_DOMAINS)


def cloud_body(body: dict[str, Any], request: ChatRequest) -> dict[str, Any]:
    """The chat body with OpenAI's parameters only. Unsupported for a prefill, which it would answer rather than continue."""
    if request.messages and request.messages[-1].role == "assistant":
        raise Unsupported("assistant message prefill")
    # OpenAI's newer models refuse max_tokens, and it refuses keys of a message that it does not know.
    renamed = {"max_completion_tokens" if name == "max_tokens" else name: value for name, value in body.items()}
    messages = [
        {name: value for name, value in message.items() if name != "reasoning_content"} for message in body["messages"]
    ]
    return {**renamed, "messages": messages}
