"""Converse's answers, whole and streamed, as deltas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from outcrop.engines.engine import (
    Delta,
    EngineFailed,
    Finish,
    FinishReason,
    ReasoningDelta,
    ReasoningSignature,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    Usage,
)

_REASONS: Mapping[str, FinishReason] = {
    "end_turn": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "stop_sequence": "stop_sequence",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
    "malformed_tool_use": "malformed_tool_call",
    "model_context_window_exceeded": "context",
}


class Events:
    """Reads the events of one ConverseStream. What was thought in secret (redactedContent) cannot be handed on and is left out."""

    def __init__(self) -> None:
        self._calls = 0
        self._stop: Mapping[str, Any] | None = None
        self._usage = Usage(0, 0)

    def read(self, kind: str, event: Mapping[str, Any]) -> Iterator[Delta]:
        if kind == "contentBlockStart" and (call := event["start"].get("toolUse")) is not None:
            self._calls += 1
            yield ToolCallStart(self._calls - 1, call["toolUseId"], call["name"])
        elif kind == "contentBlockDelta":
            yield from self._delta(event["delta"])
        elif kind == "messageStop":
            self._stop = event
        elif kind == "metadata":
            self._usage = usage_of(event.get("usage") or {})

    def _delta(self, delta: Mapping[str, Any]) -> Iterator[Delta]:
        if delta.get("text"):
            yield TextDelta(delta["text"])
        elif fragment := (delta.get("toolUse") or {}).get("input"):
            yield ToolCallDelta(self._calls - 1, fragment)
        elif reasoning := delta.get("reasoningContent"):
            yield from _reasoning(reasoning)

    def finish(self) -> Finish:
        """EngineFailed if the stream ended without saying why."""
        if self._stop is None:
            raise EngineFailed("The model's answer broke off.")
        return _finish(self._stop, self._usage)


def deltas_of(answer: Mapping[str, Any]) -> Iterator[Delta]:
    """A whole answer. KeyError and TypeError where it is none."""
    calls = 0
    for block in answer["output"]["message"]["content"]:
        if block.get("text"):
            yield TextDelta(block["text"])
        elif "reasoningContent" in block:
            yield from _reasoning(block["reasoningContent"].get("reasoningText") or {})
        elif call := block.get("toolUse"):
            yield ToolCallStart(calls, call["toolUseId"], call["name"])
            yield ToolCallDelta(calls, orjson.dumps(call["input"]).decode())
            calls += 1
    yield _finish(answer, usage_of(answer.get("usage") or {}))


def _reasoning(piece: Mapping[str, Any]) -> Iterator[Delta]:
    if piece.get("text"):
        yield ReasoningDelta(piece["text"])
    if piece.get("signature"):
        yield ReasoningSignature(piece["signature"])


def _finish(stop: Mapping[str, Any], usage: Usage) -> Finish:
    reason = _REASONS.get(stop["stopReason"])
    if reason is None:
        raise EngineFailed(f"The model's answer ended with {stop['stopReason']}.")
    fields = stop.get("additionalModelResponseFields")
    met = fields.get("stop_sequence") if isinstance(fields, dict) else None
    return Finish(reason, usage, met if isinstance(met, str) and reason == "stop_sequence" else None)


def usage_of(usage: Mapping[str, Any]) -> Usage:
    """Bedrock counts what came from and went into a cache apart from the rest of the prompt."""
    read, written = usage.get("cacheReadInputTokens") or 0, usage.get("cacheWriteInputTokens") or 0
    return Usage((usage.get("inputTokens") or 0) + read + written, usage.get("outputTokens") or 0, read, written)
