"""Chat and completion requests as the JSON that OpenAI-compatible servers take."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from outcrop.engines.engine import (
    ChatRequest,
    CompletionRequest,
    Image,
    Json,
    Message,
    Part,
    Reasoning,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)


def chat_body(request: ChatRequest) -> dict[str, Any]:
    """Messages, tools, schema and sampling; `model` and `stream` are the caller's."""
    body: dict[str, Any] = {"messages": messages_of(request.messages), **sampling_body(request.sampling)}
    # Where none may be called none is shown: a model that sees tools writes calls, whatever it was told.
    if request.tools and request.tool_choice.mode != "none":
        body["tools"] = [tool_body(tool) for tool in request.tools]
        body["tool_choice"] = _choice(request.tool_choice)
    if request.json_schema is not None:
        body["response_format"] = schema_format(request.json_schema)
    return body


def completion_body(request: CompletionRequest) -> dict[str, Any]:
    body: dict[str, Any] = {"prompt": request.prompt, **sampling_body(request.sampling)}
    if request.json_schema is not None:
        body["response_format"] = schema_format(request.json_schema)
    return body


def schema_format(schema: Json) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}


def sampling_body(sampling: Sampling) -> dict[str, Any]:
    given = {
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "seed": sampling.seed,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
        "stop": list(sampling.stop) or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def tool_body(tool: Tool) -> dict[str, Any]:
    function: dict[str, Any] = {"name": tool.name, "description": tool.description, "parameters": tool.schema}
    if tool.strict:
        function["strict"] = True
    return {"type": "function", "function": function}


def _choice(choice: ToolChoice) -> str | dict[str, Any]:
    if choice.mode == "tool":
        return {"type": "function", "function": {"name": choice.name}}
    return "required" if choice.mode == "any" else "auto"


def messages_of(turns: Sequence[Message]) -> list[dict[str, Any]]:
    return [message for turn in turns for message in _messages(turn)]


def _messages(turn: Message) -> Iterator[dict[str, Any]]:
    """A user turn with tool results becomes one `tool` message for each of them, and what is left of the turn."""
    if turn.role == "assistant":
        yield _assistant(turn.parts)
        return
    rest = [part for part in turn.parts if not isinstance(part, ToolResult)]
    for result in turn.parts:
        if isinstance(result, ToolResult):
            yield {"role": "tool", "tool_call_id": result.id, "content": _result_text(result)}
            rest += [part for part in result.parts if isinstance(part, Image)]
    if rest or len(rest) == len(turn.parts):
        yield {"role": turn.role, "content": _content(rest)}


def _result_text(result: ToolResult) -> str:
    """Images of a result follow in the user's message: `tool` messages hold text."""
    text = "\n".join(part.text for part in result.parts if isinstance(part, Text))
    return f"Error: {text}" if result.error else text


def _content(parts: Sequence[Part]) -> str | list[dict[str, Any]]:
    if all(isinstance(part, Text) for part in parts):
        return "\n".join(part.text for part in parts if isinstance(part, Text))
    return [_piece(part) for part in parts]


def _piece(part: Part) -> dict[str, Any]:
    if isinstance(part, Image):
        data = base64.b64encode(part.data).decode()
        return {"type": "image_url", "image_url": {"url": f"data:image/{part.format};base64,{data}"}}
    return {"type": "text", "text": part.text if isinstance(part, Text) else ""}


def _assistant(parts: Sequence[Part]) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": _joined(parts, Text)}
    if reasoning := _joined(parts, Reasoning):
        message["reasoning_content"] = reasoning
    calls = [part for part in parts if isinstance(part, ToolCall)]
    if calls:
        message["tool_calls"] = [_call(call) for call in calls]
    return message


def _joined(parts: Sequence[Part], kind: type[Text] | type[Reasoning]) -> str:
    return "\n".join(part.text for part in parts if isinstance(part, kind))


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": orjson.dumps(call.arguments).decode()}
    return {"id": call.id, "type": "function", "function": function}
