"""Anthropic Messages bodies by way of InvokeModel."""

from __future__ import annotations

import json
from typing import Any

from outcrop.inference.operations import invoke_model, invoke_model_with_response_stream
from tests.inference.bench import Bench


def body(*messages: Any, **members: Any) -> bytes:
    """A body with these messages; a string is one of the user's. Members given as None are left out."""
    given = [{"role": "user", "content": m} if isinstance(m, str) else m for m in messages or ("Hi",)]
    whole = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 100, "messages": given, **members}
    return json.dumps({key: value for key, value in whole.items() if value is not None}).encode()


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "text": content}


def invoke(bench: Bench, *messages: Any, **members: Any) -> Any:
    return json.loads(bench.call(invoke_model, body=body(*messages, **members))["body"])


def invoke_streamed(bench: Bench, *messages: Any, **members: Any) -> list[Any]:
    chunks = bench.stream(invoke_model_with_response_stream, body=body(*messages, **members))
    return [json.loads(chunk["chunk"]["bytes"]) for chunk in chunks]
