"""Tool calls that must happen: the schema that decoding is held to, and the text that comes of it as deltas.

llama.cpp's `tool_choice: required` still lets the model talk first, and it leaves a named tool unconstrained. So for a call
that must happen the answer is one JSON object, {"name": ..., "arguments": ...}, of one of the tools.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from outcrop.engines.engine import Delta, Json, Tool, ToolCallDelta, ToolCallStart, ToolChoice

_OPENING = re.compile(r'\s*\{\s*"name"\s*:\s*"((?:[^"\\]|\\.)*)"\s*,\s*"arguments"\s*:\s*')


def call_schema(tools: Sequence[Tool], choice: ToolChoice, answer: Json | None = None) -> dict[str, Any]:
    """One alternative for each tool that may be called, and one for the answer's own schema, where there may be an answer."""
    allowed = [tool for tool in tools if choice.mode != "tool" or tool.name == choice.name]
    if len(allowed) == 1 and answer is None:
        return _alternative(allowed[0], "#")
    alternatives = [_alternative(tool, f"#/anyOf/{i}") for i, tool in enumerate(allowed)]
    if answer is not None:
        alternatives.append(_moved(answer, f"#/anyOf/{len(allowed)}"))
    return {"anyOf": alternatives}


def call_in(text: str, tools: Sequence[Tool]) -> tuple[str, str] | None:
    """The tool's name and the JSON of its arguments, if the text is a call of one and not an answer."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict) or value.keys() != {"name", "arguments"}:
        return None
    if value["name"] not in {tool.name for tool in tools}:
        return None
    return value["name"], orjson.dumps(value["arguments"]).decode()


def _alternative(tool: Tool, at: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {
            "name": {"const": tool.name},
            "arguments": _moved(tool.schema, f"{at}/properties/arguments"),
        },
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _moved(schema: Json | object, at: str) -> Any:
    """The schema with its own references pointing to where it stands now."""
    if isinstance(schema, list):
        return [_moved(item, at) for item in schema]
    if not isinstance(schema, dict):
        return schema
    moved = {key: _moved(value, at) for key, value in schema.items()}
    reference = moved.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        moved["$ref"] = at + reference[1:]
    return moved


class CallReader:
    """The JSON text of one call, in pieces, as deltas. The outer object's last brace is nobody's argument."""

    def __init__(self) -> None:
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
            yield ToolCallStart(0, "call_0", opening[1])
        last = self._held.rfind("}")
        safe = len(self._held) if last < 0 else last
        if safe:
            yield ToolCallDelta(0, self._held[:safe])
            self._held = self._held[safe:]

    def end(self, *, whole: bool) -> Iterator[Delta]:
        """`whole`: the model ended by itself, so that what is held is the outer brace."""
        if self._open and not whole and self._held:
            yield ToolCallDelta(0, self._held)
