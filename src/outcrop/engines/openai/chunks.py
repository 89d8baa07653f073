"""Streamed chunks of a chat or text completion as deltas."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from outcrop.engines.engine import (
    Delta,
    EngineFailed,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    Usage,
)
from outcrop.engines.openai.stops import StopFinder

_REASONS: Mapping[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


@dataclass(slots=True)
class _Call:
    id: str
    name: str
    pieces: list[str] = field(default_factory=list)


class Chunks:
    """Reads one answer. `done` turns true when a stop sequence was met: nothing more needs to be read.

    With `stops`, stop sequences are looked for here: most servers do not say whether they met one.
    `tools` are the names that may be called; a call of another one is malformed.
    """

    def __init__(self, *, stops: Sequence[str] = (), tools: Sequence[str] = (), max_tokens: int | None = None) -> None:
        self._stops = StopFinder(stops)
        self._tools = frozenset(tools)
        self._max_tokens = max_tokens
        self._calls: dict[int, _Call] = {}
        self._open: dict[int, int] = {}
        self._reason: str | None = None
        self._met: str | None = None
        self._usage = Usage(0, 0)
        self._counted = False

    @property
    def done(self) -> bool:
        return self._stops.found is not None

    def read(self, chunks: Sequence[Mapping[str, Any]]) -> list[Delta]:
        """Deltas of the chunks that have arrived; text and reasoning in a row are joined."""
        deltas: list[Delta] = []
        for chunk in chunks:
            self._count(chunk)
            for choice in chunk.get("choices") or ():
                for delta in self._choice(choice):
                    _append(deltas, delta)
            if self.done:
                break
        return deltas

    def finish(self) -> list[Delta]:
        """The last deltas. EngineFailed if the answer ended without saying why."""
        if self._stops.found is not None:
            return [Finish("stop_sequence", self._usage, self._stops.found)]
        if self._reason is None:
            raise EngineFailed("The model's answer broke off.")
        rest = self._stops.rest()
        last: list[Delta] = [TextDelta(rest)] if rest else []
        return [*last, Finish(self._finish_reason(), self._usage, self._met)]

    def _finish_reason(self) -> FinishReason:
        if self._met is not None:
            return "stop_sequence"
        reason = _REASONS.get(self._reason or "", "stop")
        if reason == "length" and self._max_tokens is not None and 0 < self._usage.output_tokens < self._max_tokens:
            return "context"
        if reason in ("stop", "tool_calls") and self._calls:
            return "tool_calls" if all(map(self._is_sound, self._calls.values())) else "malformed_tool_call"
        return "stop" if reason == "tool_calls" else reason

    def _is_sound(self, call: _Call) -> bool:
        try:
            arguments = orjson.loads("".join(call.pieces) or "{}")
        except orjson.JSONDecodeError:
            return False
        return isinstance(arguments, dict) and call.name in self._tools

    def _choice(self, choice: Mapping[str, Any]) -> Iterator[Delta]:
        delta = choice.get("delta") or {}
        if reasoning := delta.get("reasoning_content") or delta.get("reasoning"):
            yield ReasoningDelta(reasoning)
        if (text := delta.get("content") or choice.get("text")) and (safe := self._stops.feed(text)):
            yield TextDelta(safe)
        for call in delta.get("tool_calls") or ():
            yield from self._call(call)
        if choice.get("finish_reason"):
            self._reason = choice["finish_reason"]
            # vLLM and SGLang name the stop string here (a number is an end token).
            if isinstance(stopped := choice.get("stop_reason"), str):
                self._met = stopped

    def _call(self, call: Mapping[str, Any]) -> Iterator[Delta]:
        function = call.get("function") or {}
        number = self._number(call)
        if number not in self._calls:
            if rest := self._stops.rest():
                yield TextDelta(rest)
            self._calls[number] = _Call(call.get("id") or "", function.get("name") or "")
            yield ToolCallStart(number, call.get("id") or f"call_{number}", function.get("name") or "")
        if fragment := function.get("arguments"):
            self._calls[number].pieces.append(fragment)
            yield ToolCallDelta(number, fragment)

    def _number(self, call: Mapping[str, Any]) -> int:
        """Which call of ours it belongs to. Gemini gives all its calls one index, or none: there another id is another call."""
        index = call.get("index") or 0
        number = self._open.get(index)
        known = self._calls.get(number) if number is not None else None
        if known is None or (call.get("id") and known.id and call["id"] != known.id):
            number = self._open[index] = len(self._calls)
        assert number is not None
        return number

    def _count(self, chunk: Mapping[str, Any]) -> None:
        """The final usage where it is given; llama.cpp's running counts until then."""
        if usage := chunk.get("usage"):
            details = usage.get("prompt_tokens_details") or {}
            self._counted = True
            self._usage = Usage(
                usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0, details.get("cached_tokens") or 0
            )
        elif not self._counted and (timings := chunk.get("timings")):
            cached = max(0, timings.get("cache_n") or 0)
            self._usage = Usage(cached + (timings.get("prompt_n") or 0), timings.get("predicted_n") or 0, cached)


def _append(deltas: list[Delta], delta: Delta) -> None:
    """Joining what arrived together saves a frame on the wire for each token under load."""
    last = deltas[-1] if deltas else None
    if isinstance(delta, TextDelta) and isinstance(last, TextDelta):
        deltas[-1] = TextDelta(last.text + delta.text)
    elif isinstance(delta, ReasoningDelta) and isinstance(last, ReasoningDelta):
        deltas[-1] = ReasoningDelta(last.text + delta.text)
    elif isinstance(delta, ToolCallDelta) and isinstance(last, ToolCallDelta) and last.index == delta.index:
        deltas[-1] = ToolCallDelta(delta.index, last.fragment + delta.fragment)
    else:
        deltas.append(delta)
