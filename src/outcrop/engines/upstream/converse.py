"""A chat request as the body of Bedrock's Converse."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

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
)


def converse_body(request: ChatRequest, model: str) -> dict[str, Any]:
    """Everything but the model's id, which is in the path; `model` tells how its family spells what Converse has no member for."""
    body: dict[str, Any] = counted_body(request)
    if inference := _inference(request.sampling):
        body["inferenceConfig"] = inference
    if extra := _extra(request, model):
        body["additionalModelRequestFields"] = extra
    if request.json_schema is not None:
        structure = {"jsonSchema": {"schema": orjson.dumps(request.json_schema).decode(), "name": "answer"}}
        body["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": structure}}
    if request.sampling.stop:
        # Models that can tell which one was met tell it here; the others leave it out.
        body["additionalModelResponseFieldPaths"] = ["/stop_sequence"]
    return body


def counted_body(request: ChatRequest) -> dict[str, Any]:
    """What CountTokens counts: messages, system, tools."""
    with_tools = bool(request.tools) and request.tool_choice.mode != "none"
    turns = [turn for turn in request.messages if turn.role != "system"]
    body: dict[str, Any] = {"messages": _joined(turns, with_tools=with_tools)}
    said = [part for turn in request.messages if turn.role == "system" for part in turn.parts]
    if system := list(_content(said, with_tools=with_tools)):
        body["system"] = system
    if with_tools:
        tools = {"tools": [block for tool in request.tools for block in _tool(tool)]}
        body["toolConfig"] = tools if request.tool_choice.mode == "auto" else {**tools, **_choice(request.tool_choice)}
    return body


def _joined(turns: Sequence[Message], *, with_tools: bool) -> list[dict[str, Any]]:
    """Turns that nothing is left of go, and what then stands side by side is one turn: Converse wants roles to alternate."""
    messages: list[dict[str, Any]] = []
    for turn in turns:
        content = list(_content(turn.parts, with_tools=with_tools))
        if content and messages and messages[-1]["role"] == turn.role:
            messages[-1]["content"] += content
        elif content:
            messages.append({"role": turn.role, "content": content})
    return messages


def _content(parts: Sequence[Part], *, with_tools: bool) -> Iterator[dict[str, Any]]:
    """Without blank text, which Converse refuses, and cache points that would then come first."""
    begun = False
    for part in parts:
        if isinstance(part, CachePoint):
            if begun:
                yield _cache_point(part)
            continue
        for block in _blocks(part, with_tools=with_tools):
            begun = True
            yield block


def _blocks(part: Part, *, with_tools: bool) -> Iterator[dict[str, Any]]:
    if isinstance(part, Text):
        if part.text.strip():
            yield {"text": part.text}
    elif isinstance(part, Image):
        yield _image(part)
    elif isinstance(part, Reasoning):
        # Claude takes only what it signed; others want none of it.
        if part.signature:
            yield {"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}}
    elif isinstance(part, ToolCall | ToolResult) and not with_tools:
        yield from _told(part)
    elif isinstance(part, ToolCall):
        yield _call(part)
    elif isinstance(part, ToolResult):
        yield _result(part)


def _cache_point(point: CachePoint) -> dict[str, Any]:
    return {"cachePoint": {"type": "default"} if point.ttl is None else {"type": "default", "ttl": point.ttl}}


def _image(part: Image) -> dict[str, Any]:
    return {"image": {"format": part.format, "source": {"bytes": base64.b64encode(part.data).decode()}}}


def _call(call: ToolCall) -> dict[str, Any]:
    return {"toolUse": {"toolUseId": call.id, "name": call.name, "input": call.arguments}}


def _result(result: ToolResult) -> dict[str, Any]:
    content = list(_result_content(result)) or [{"text": "(empty)"}]
    status = "error" if result.error else "success"
    return {"toolResult": {"toolUseId": result.id, "content": content, "status": status}}


def _result_content(result: ToolResult) -> Iterator[dict[str, Any]]:
    for part in result.parts:
        if isinstance(part, Image):
            yield _image(part)
        elif part.text.strip():
            yield {"text": part.text}


def _told(part: ToolCall | ToolResult) -> Iterator[dict[str, Any]]:
    """Converse knows no way to forbid tools that a conversation has used: there the calls are told as text."""
    if isinstance(part, ToolCall):
        yield {"text": f"[Called {part.name} with {orjson.dumps(part.arguments).decode()}]"}
        return
    yield {"text": "[It failed:]" if part.error else "[It answered:]"}
    yield from _result_content(part)


def _tool(tool: Tool) -> Iterator[dict[str, Any]]:
    spec: dict[str, Any] = {"name": tool.name, "inputSchema": {"json": tool.schema}}
    if tool.description:
        spec["description"] = tool.description
    if tool.strict:
        spec["strict"] = True
    yield {"toolSpec": spec}
    if tool.cache is not None:
        yield _cache_point(tool.cache)


def _choice(choice: ToolChoice) -> dict[str, Any]:
    return {"toolChoice": {"tool": {"name": choice.name}} if choice.mode == "tool" else {"any": {}}}


def _inference(sampling: Sampling) -> dict[str, Any]:
    given = {
        "maxTokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "topP": sampling.top_p,
        "stopSequences": list(sampling.stop) or None,
    }
    return {name: value for name, value in given.items() if value is not None}


def _extra(request: ChatRequest, model: str) -> dict[str, Any]:
    sampling = request.sampling
    given: dict[str, Any] = {
        "top_k": sampling.top_k,
        "seed": sampling.seed,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
    }
    if "amazon.nova" in model and sampling.top_k is not None:
        given |= {"top_k": None, "inferenceConfig": {"topK": sampling.top_k}}
    if request.thinking is not None:
        budget = request.thinking.budget_tokens
        given["thinking"] = {"type": "adaptive"} if budget is None else {"type": "enabled", "budget_tokens": budget}
    return {name: value for name, value in given.items() if value is not None}
