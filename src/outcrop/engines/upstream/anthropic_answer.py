"""The Messages API's streaming events as deltas, and its errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from outcrop.engines.engine import (
    ContextOverflow,
    Delta,
    EngineBusy,
    EngineError,
    EngineFailed,
    EngineTimeout,
    Finish,
    FinishReason,
    InvalidRequest,
    ReasoningDelta,
    ReasoningSignature,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    Upstream,
    Usage,
)
from outcrop.engines.openai.http import retry_after

_REASONS: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "refusal": "content_filter",
    "model_context_window_exceeded": "context",
}
_TOO_LONG = re.compile(r"prompt is too long: (\d+) tokens > (\d+) maximum")
# In a stream there is no status, only the error's type.
_STATUS = {
    "invalid_request_error": 400, "authentication_error": 401, "billing_error": 402, "permission_error": 403,
    "not_found_error": 404, "request_too_large": 413, "rate_limit_error": 429, "api_error": 500, "timeout_error": 504,
    "overloaded_error": 529,
}  # fmt: skip


class Events:
    """Reads the events of one answer. What was thought in secret (redacted_thinking) cannot be handed on and is left out."""

    def __init__(self) -> None:
        self._calls = 0
        self._usage: dict[str, Any] = {}
        self._stop: Mapping[str, Any] | None = None

    def read(self, event: Mapping[str, Any]) -> Iterator[Delta]:
        kind = event.get("type")
        if kind == "message_start":
            self._usage.update(event["message"].get("usage") or {})
        elif kind == "content_block_start":
            yield from self._start(event["content_block"])
        elif kind == "content_block_delta":
            yield from self._delta(event["delta"])
        elif kind == "message_delta":
            # Numbers here are of the whole answer, and replace those of the start.
            self._usage.update({name: n for name, n in (event.get("usage") or {}).items() if n is not None})
            self._stop = event["delta"]

    def _start(self, block: Mapping[str, Any]) -> Iterator[Delta]:
        if block["type"] == "tool_use":
            self._calls += 1
            yield ToolCallStart(self._calls - 1, block["id"], block["name"])
        elif block["type"] == "text" and block.get("text"):
            yield TextDelta(block["text"])

    def _delta(self, delta: Mapping[str, Any]) -> Iterator[Delta]:
        kind = delta["type"]
        if kind == "text_delta" and delta["text"]:
            yield TextDelta(delta["text"])
        elif kind == "input_json_delta" and delta["partial_json"]:
            yield ToolCallDelta(self._calls - 1, delta["partial_json"])
        elif kind == "thinking_delta" and delta["thinking"]:
            yield ReasoningDelta(delta["thinking"])
        elif kind == "signature_delta" and delta["signature"]:
            yield ReasoningSignature(delta["signature"])

    def finish(self) -> Finish:
        """EngineFailed if the stream ended without saying why, or for a reason that there is no word for here."""
        if self._stop is None:
            raise EngineFailed("The model's answer broke off.")
        reason = _REASONS.get(self._stop.get("stop_reason") or "")
        if reason is None:
            raise EngineFailed(f"The model's answer ended with {self._stop.get('stop_reason')}.")
        return Finish(reason, _usage(self._usage), self._stop.get("stop_sequence"))


def _usage(usage: Mapping[str, Any]) -> Usage:
    """The API counts what came from and went into a cache apart from the rest of the prompt."""
    read, written = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
    return Usage((usage.get("input_tokens") or 0) + read + written, usage.get("output_tokens") or 0, read, written)


def error_of(status: int, body: bytes, headers: Mapping[str, str], name: str) -> EngineError:
    """An error that is the whole response: `{"type": "error", "error": {"type", "message"}}`."""
    try:
        error = orjson.loads(body)["error"]
        message = str(error["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        message = f"The upstream answered {status}."
    return _error(status, message, headers, name)


def error_in_stream(error: Any, name: str) -> EngineError:
    described = error if isinstance(error, dict) else {}
    message = str(described.get("message") or "The upstream broke off.")
    return _error(_STATUS.get(str(described.get("type")), 500), message, {}, name)


def _error(status: int, message: str, headers: Mapping[str, str], name: str) -> EngineError:
    if (long := _TOO_LONG.search(message)) is not None:
        return ContextOverflow(int(long[1]), int(long[2]))
    if status in (400, 413, 422):
        return InvalidRequest(message)
    if status in (401, 402, 403):
        return Upstream("denied", f"The upstream of {name} refused Outcrop's own key.", status=status, detail=message)
    if status == 404:
        return Upstream("missing", f"The upstream of {name} does not have the model.", status=status, detail=message)
    if status == 429:
        return EngineBusy(message, retry_after(headers))
    if status in (408, 504):
        return EngineTimeout(f"The upstream of {name} timed out: {message}")
    return Upstream("unavailable" if status in (503, 529) else "internal", message, status=status)
