"""The text of a tool call that decoding was held to (`grammar.call_grammar`), as deltas.

llama.cpp's `tool_choice: required` still lets the model talk first, and it leaves a named tool unconstrained. So for a call
that must happen the answer is one JSON object, {"name": ..., "arguments": ...}, of one of the tools.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from outcrop.engines.engine import ChatRequest, Delta, Finish, Tool, ToolCallDelta, ToolCallStart, Usage
from outcrop.engines.judge import Judge

_OPENING = re.compile(r'\{"name": "((?:[^"\\]|\\.)*)", "arguments": ')


def must_call(request: ChatRequest) -> bool:
    return bool(request.tools) and request.tool_choice.mode in ("any", "tool")


def callable_tools(request: ChatRequest) -> list[Tool]:
    choice = request.tool_choice
    return [tool for tool in request.tools if choice.mode != "tool" or tool.name == choice.name]


class CallReader:
    """The JSON text of one call, in pieces, as deltas. The outer object's last brace is nobody's argument."""

    def __init__(self, index: int = 0) -> None:
        self._index = index
        self._held = ""
        self._open = False

    def feed(self, text: str) -> Iterator[Delta]:
        self._held += text
        if not self._open:
            opening = _OPENING.match(self._held)
            if opening is None:
                return
            self._open = True
            self._held = self._held[opening.end() :]
            yield ToolCallStart(self._index, f"call_{self._index}", opening[1])
        last = self._held.rfind("}")
        safe = len(self._held) if last < 0 else last
        if safe:
            yield ToolCallDelta(self._index, self._held[:safe])
            self._held = self._held[safe:]

    def end(self, *, whole: bool) -> Iterator[Delta]:
        """`whole`: the model ended by itself, so that what is held is the outer brace."""
        if self._open and not whole and self._held:
            yield ToolCallDelta(self._index, self._held)


def missed(held: Sequence[Delta], judge: Judge) -> int | None:
    """The place of the first call that was ended and misses its schema."""
    if not held or not isinstance(held[-1], Finish) or held[-1].reason != "tool_calls":
        return None
    for place, start in enumerate(held):
        if isinstance(start, ToolCallStart):
            pieces = [d.fragment for d in held if isinstance(d, ToolCallDelta) and d.index == start.index]
            if judge.call_problem(start.name, "".join(pieces)) is not None:
                return place
    return None


def with_usage(finish: Finish, before: Usage) -> Finish:
    """What both tries cost the caller: one prompt, and all tokens that were written."""
    usage = replace(before, output_tokens=before.output_tokens + finish.usage.output_tokens)
    return replace(finish, usage=usage)
