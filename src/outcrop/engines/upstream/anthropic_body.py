"""A chat request as the body of Anthropic's Messages API."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

from outcrop.engines.engine import (
    CachePoint,
    ChatRequest,
    Image,
    Message,
    Part,
    Reasoning,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Unsupported,
)


def messages_body(request: ChatRequest, *, most_tokens: int) -> dict[str, Any]:
    """Everything but `model` and `stream`. `most_tokens` where the request names no limit: the API wants one.

    Unsupported for sampling that it has no parameter for.
    """
    body: dict[str, Any] = {**counted_body(request), **_sampling(request.sampling, most_tokens)}
    if request.json_schema is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": request.json_schema}}
    return body


def counted_body(request: ChatRequest) -> dict[str, Any]:
    """What the number of tokens depends on."""
    body: dict[str, Any] = {"messages": _messages([turn for turn in request.messages if turn.role != "system"])}
    said = [part for turn in request.messages if turn.role == "system" for part in turn.parts]
    if system := list(_content(said)):
        body["system"] = system
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
        body["tool_choice"] = _choice(request.tool_choice)
    if request.thinking is not None:
        budget = request.thinking.budget_tokens
        body["thinking"] = {"type": "adaptive"} if budget is None else {"type": "enabled", "budget_tokens": budget}
    return body


def _messages(turns: Sequence[Message]) -> list[dict[str, Any]]:
    """Turns that nothing is left of go; the API itself joins what then stands side by side."""
    made = ({"role": turn.role, "content": _content(turn.parts)} for turn in turns)
    return [message for message in made if message["content"]]


def _content(parts: Sequence[Part]) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, CachePoint):
            # Thinking cannot be marked.
            if blocks and blocks[-1]["type"] != "thinking":
                blocks[-1]["cache_control"] = _cache_control(part)
        else:
            blocks += _blocks(part)
    return blocks


def _cache_control(point: CachePoint) -> dict[str, Any]:
    return {"type": "ephemeral"} if point.ttl is None else {"type": "ephemeral", "ttl": point.ttl}


def _blocks(part: Part) -> Iterator[dict[str, Any]]:
    if isinstance(part, Text | Image):
        yield from _plain(part)
    elif isinstance(part, Reasoning):
        # Only what it signed itself is taken back.
        if part.signature:
            yield {"type": "thinking", "thinking": part.text, "signature": part.signature}
    elif isinstance(part, ToolResult):
        content = [block for inner in part.parts for block in _plain(inner)]
        yield {"type": "tool_result", "tool_use_id": part.id, "content": content, "is_error": part.error}
    elif isinstance(part, ToolCall):
        yield {"type": "tool_use", "id": part.id, "name": part.name, "input": part.arguments}


def _plain(part: Text | Image) -> Iterator[dict[str, Any]]:
    if isinstance(part, Image):
        data = base64.b64encode(part.data).decode()
        yield {"type": "image", "source": {"type": "base64", "media_type": f"image/{part.format}", "data": data}}
    elif part.text.strip():
        # Blank text is refused.
        yield {"type": "text", "text": part.text}


def _tool(tool: Tool) -> dict[str, Any]:
    body: dict[str, Any] = {"name": tool.name, "input_schema": tool.schema}
    if tool.description:
        body["description"] = tool.description
    if tool.strict:
        body["strict"] = True
    if tool.cache is not None:
        body["cache_control"] = _cache_control(tool.cache)
    return body


def _choice(choice: ToolChoice) -> dict[str, Any]:
    return {"type": "tool", "name": choice.name} if choice.mode == "tool" else {"type": choice.mode}


def _sampling(sampling: Sampling, most_tokens: int) -> dict[str, Any]:
    for name in ("seed", "frequency_penalty", "presence_penalty"):
        if getattr(sampling, name) is not None:
            raise Unsupported(f"the parameter {name}")
    given = {
        "max_tokens": sampling.max_tokens or most_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "stop_sequences": list(sampling.stop) or None,
    }
    return {name: value for name, value in given.items() if value is not None}
