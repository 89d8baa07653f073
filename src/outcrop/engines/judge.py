"""Whether a whole answer keeps what was asked: a call where one must happen, arguments and texts that fit their schemas.

Decoding is meant to see to it. Servers that take a schema and do not hold to it exist, and so do decoders that give up half
way; an answer that breaks its schema is an error then, never a silently wrong answer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import jsonschema_rs
import orjson

from outcrop.engines.engine import (
    ChatRequest,
    CompletionRequest,
    Delta,
    EngineFailed,
    Finish,
    InvalidRequest,
    Json,
    TextDelta,
    Tool,
    ToolCallDelta,
    ToolCallStart,
)
from outcrop.engines.formats import UNENFORCED
from outcrop.engines.schema_size import check_size


class Judge:
    """InvalidRequest for a schema that is none."""

    def __init__(self, request: ChatRequest | CompletionRequest) -> None:
        self._answer = None if request.json_schema is None else _validator(request.json_schema)
        self._must_call = (
            isinstance(request, ChatRequest) and bool(request.tools) and request.tool_choice.mode in ("any", "tool")
        )
        tools = bound_tools(request) if isinstance(request, ChatRequest) else {}
        self._tools = {name: _validator(tool.schema) for name, tool in tools.items()}

    @property
    def needed(self) -> bool:
        return self._answer is not None or self._must_call or bool(self._tools)

    def call_problem(self, name: str, arguments: str) -> str | None:
        """What is wrong with a call's arguments, None for a tool that promises nothing."""
        validator = self._tools.get(name)
        return None if validator is None else _problem(validator, arguments or "{}")

    def check(self, finish: Finish, text: str, calls: Mapping[int, tuple[str, str]]) -> None:
        """EngineFailed for an answer that ended by itself and breaks its promise. `calls`: name and JSON of the arguments."""
        if finish.reason not in ("stop", "tool_calls"):
            return
        if self._must_call and not calls:
            raise EngineFailed("The model did not call a tool, although it had to.")
        if self._must_call and (strange := {name for name, _ in calls.values()} - self._tools.keys()):
            raise EngineFailed(f"The model called {', '.join(sorted(strange))}, which it was not to call.")
        for name, arguments in calls.values():
            if (problem := self.call_problem(name, arguments)) is not None:
                raise EngineFailed(f"The model's call of {name} does not fit the tool's schema: {problem}")
        if self._answer is not None and not calls and (problem := _problem(self._answer, text)) is not None:
            raise EngineFailed(f"The model's answer does not fit the JSON schema: {problem}")


def bound_tools(request: ChatRequest) -> dict[str, Tool]:
    """The tools whose calls must fit: strict ones, and every one that may be called where a call must happen."""
    choice = request.tool_choice
    if choice.mode in ("any", "tool"):
        return {tool.name: tool for tool in request.tools if choice.mode == "any" or tool.name == choice.name}
    return {tool.name: tool for tool in request.tools if tool.strict and choice.mode != "none"}


async def conforming(deltas: AsyncGenerator[Delta, None], judge: Judge) -> AsyncGenerator[Delta, None]:
    """The deltas as they come; EngineFailed in place of the `Finish` of an answer that breaks its promise."""
    text: list[str] = []
    names: dict[int, str] = {}
    arguments: dict[int, list[str]] = {}
    async with aclosing(deltas):
        async for delta in deltas:
            if not judge.needed:
                pass
            elif isinstance(delta, TextDelta):
                text.append(delta.text)
            elif isinstance(delta, ToolCallStart):
                names[delta.index], arguments[delta.index] = delta.name, []
            elif isinstance(delta, ToolCallDelta):
                arguments[delta.index].append(delta.fragment)
            elif isinstance(delta, Finish):
                calls = {index: (name, "".join(arguments[index])) for index, name in names.items()}
                judge.check(delta, "".join(text), calls)
            yield delta


_ANYTHING = {name: lambda text: True for name in UNENFORCED}


def _validator(schema: Json) -> jsonschema_rs.Validator:
    check_size(schema)
    try:
        # Nothing is fetched: a caller's $ref must not make this server call anybody.
        return jsonschema_rs.validator_for(dict(schema), formats=_ANYTHING, validate_formats=True, offline=True)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as problem:
        raise InvalidRequest(f"The JSON schema is not valid: {str(problem).partition(chr(10))[0]}") from None


def _problem(validator: jsonschema_rs.Validator, text: str) -> str | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as problem:
        return f"it is not JSON: {problem}"
    error = next(iter(validator.iter_errors(value)), None)
    if error is None:
        return None
    return f"at /{'/'.join(map(str, error.instance_path))}: {error.message[:200]}"
