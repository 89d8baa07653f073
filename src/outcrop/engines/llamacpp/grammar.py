"""What decoding is held to, in the Lark dialect of llguidance, which is part of the llama.cpp that is embedded here.

llama.cpp's own `json_schema` is not used: in its chat it ignores keywords that its translator does not know (`uri`, `allOf`
beside `properties`, ...), and elsewhere a schema that llguidance refuses means an answer that is held to nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import orjson

from outcrop.engines.enforceable import enforceable
from outcrop.engines.engine import Json, Tool

# What a model of its own accord never begins with; see `probe`.
MARK = "#=#=#=#=#=#=#=#="
CALL = "<tool_call>\n"
# One way of writing each value: a weak model would write white space for ever. Nothing but what reads the same as a literal
# and as a regular expression: which of them a separator is has changed between versions of llguidance.
_GUIDANCE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
# `open`: the prompt ends within the model's thoughts. `may`: the model may begin with some.
Thoughts = Literal["none", "may", "open"]
_THOUGHTS = {
    "none": "start: answer",
    "may": 'start: ("<think>" THOUGHT "</think>" GAP)? answer',
    "open": 'start: THOUGHT "</think>" GAP answer',
}
_OF_NO_ARGUMENTS = frozenset({"type", "properties", "required", "title", "description", "$schema"})
_THOUGHT = r"/(?s:.*)/ & ~/(?s:.*)<\/think>(?s:.*)/"


def answer_grammar(schema: Json, thoughts: Thoughts = "none") -> str:
    """InvalidRequest for a schema that cannot be enforced."""
    lines = [_THOUGHTS[thoughts], f"answer: {_json(schema)}"]
    if thoughts != "none":
        lines += [f"THOUGHT: {_THOUGHT}", r"GAP: /[ \n]{0,4}/"]
    return _grammar(lines)


def call_grammar(tools: Sequence[Tool]) -> str:
    """{"name": ..., "arguments": ...} of one of the tools."""
    return _grammar(["start: call", *_calls(tools)])


def call_or_answer_grammar(tools: Sequence[Tool], schema: Json) -> str:
    """A call after the mark of one, or an answer, which begins otherwise because it is JSON."""
    return _grammar([f"start: {_literal(CALL)} call | answer", f"answer: {_json(schema)}", *_calls(tools)])


def probe(grammar: str) -> str:
    """The grammar after a mark: a decoder that could not read it says something else, because it is held to nothing."""
    return grammar.replace("start: ", f"start: {_literal(MARK)} held\nheld: ", 1)


def is_held(text: str, tokens: int) -> bool:
    """Whether the first tokens of a probe's answer show that it is held to the grammar. A token has a letter at least."""
    return len(text) >= tokens and MARK.startswith(text[: len(MARK)])


def _grammar(lines: Sequence[str]) -> str:
    return "\n".join(["%llguidance {}", *lines, ""])


def _calls(tools: Sequence[Tool]) -> Iterator[str]:
    yield "call: " + " | ".join(f"call{i}" for i in range(len(tools)))
    for i, tool in enumerate(tools):
        opening = f'{{"name": {_literal(tool.name)}, "arguments": '
        yield f'call{i}: {_literal(opening)} arguments{i} "}}"'
        yield f"arguments{i}: {_json(_arguments(tool.schema))}"


def _arguments(schema: Json) -> Json:
    """A tool that names no arguments takes none: its schema is open, and a weak model would make some up."""
    named = schema.get("properties") or schema.get("required") or not schema.keys() <= _OF_NO_ARGUMENTS
    return schema if named else {"type": "object", "additionalProperties": False}


def _json(schema: Json) -> str:
    form: dict[str, Any] = {"x-guidance": _GUIDANCE, **enforceable(schema)}
    return f"%json {orjson.dumps(form).decode()}"


def _literal(text: str) -> str:
    return orjson.dumps(text).decode()
