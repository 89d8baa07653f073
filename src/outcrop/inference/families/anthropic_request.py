"""An Anthropic Messages body as a chat request, by way of Converse's shape, whose rules it shares."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from outcrop.context import Context
from outcrop.engines.engine import ChatRequest, Tool, ToolChoice
from outcrop.errors import ValidationException
from outcrop.inference.conversation import Reader, turns_of
from outcrop.inference.failures import ModelRefused
from outcrop.inference.families import anthropic_response
from outcrop.inference.families.anthropic_schema import parsed
from outcrop.inference.families.family import Asked
from outcrop.inference.fields import Extra, thinking_of
from outcrop.inference.reasoning import Signer
from outcrop.inference.sampling import sampling_of
from outcrop.inference.structured_output import native_schema_of
from outcrop.inference.tools import check_choice, tools_of
from outcrop.inference.wording import ANTHROPIC
from outcrop.models.model import Model
from outcrop.shapes.bedrock_runtime import (
    ContentBlock,
    InferenceConfiguration,
    Message,
    SystemContentBlock,
    ToolConfiguration,
)
from outcrop.shapes.bedrock_runtime import Tool as ToolEntry

_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/gif": "gif", "image/webp": "webp"}


async def read(ctx: Context, model: Model, body: bytes) -> Asked:
    """ValidationException for whatever is wrong with the body or cannot be done by this model."""
    given = parsed(body)
    if not model.capabilities.chat:
        raise ValidationException("This model doesn't support Anthropic Messages.")
    _refuse(given)
    thinking = thinking_of(given.get("thinking"), model, given["max_tokens"])
    configuration = _tool_configuration(given.get("tools", []), model)
    tools, _ = tools_of(configuration, model)
    choice = _choice(given.get("tool_choice", {}), list(tools))
    messages = list(_joined(given["messages"]))
    reader = Reader(model, ANTHROPIC, Signer(ctx.parts.vault))
    turns = await turns_of(reader, messages, _system(given.get("system")), configuration)
    schema = native_schema_of(given.get("output_config", {}), model)
    sampling = sampling_of(_inference(given), Extra(top_k=given.get("top_k")), model, ANTHROPIC)
    one_tool = bool(given.get("tool_choice", {}).get("disable_parallel_tool_use"))
    chat = ChatRequest(turns, tools, choice, schema, sampling, thinking)
    return Asked(chat, given, ANTHROPIC, anthropic_response.tool_use_id, one_tool)


def _refuse(body: Mapping[str, Any]) -> None:
    if "context_management" in body:
        raise ValidationException("context_management: This model doesn't support context management.")


def _inference(body: Mapping[str, Any]) -> InferenceConfiguration:
    config: InferenceConfiguration = {"maxTokens": body["max_tokens"]}
    if "temperature" in body:
        config["temperature"] = body["temperature"]
    if "top_p" in body:
        config["topP"] = body["top_p"]
    if "stop_sequences" in body:
        config["stopSequences"] = body["stop_sequences"]
    return config


def _tool_configuration(tools: Sequence[Mapping[str, Any]], model: Model) -> ToolConfiguration | None:
    foreign = sorted({tool["type"] for tool in tools if tool.get("type", "custom") != "custom"})
    if foreign:
        raise ValidationException(f"'{model.id}' does not support tool types: {', '.join(map(str, foreign))}")
    entries: list[ToolEntry] = []
    for i, tool in enumerate(tools):
        if _TOOL_NAME.fullmatch(tool["name"]) is None:
            raise ValidationException(f"tools.{i}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
        entries.append({
            "toolSpec": {
                "name": tool["name"],
                "description": tool.get("description", ""),
                "inputSchema": {"json": tool["input_schema"]},
                "strict": tool.get("strict", False),
            }
        })  # fmt: skip
        entries.extend(_cache_point(tool))  # type: ignore[arg-type]  # a cache point is a block of every list
    return {"tools": entries} if entries else None


def _choice(choice: Mapping[str, Any], tools: list[Tool]) -> ToolChoice:
    kind = choice.get("type", "auto")
    if kind not in ("auto", "any", "tool", "none"):
        raise ValidationException("tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'")
    if choice and not tools:
        raise ValidationException("tool_choice: tools must be given where tool_choice is.")
    if kind == "tool":
        return check_choice(ToolChoice("tool", str(choice.get("name"))), tools)
    return ToolChoice(kind)


def _system(system: str | Sequence[Mapping[str, Any]] | None) -> list[SystemContentBlock] | None:
    if system is None:
        return None
    if isinstance(system, str):
        return [{"text": system}] if system.strip() else None
    blocks: list[SystemContentBlock] = []
    for block in system:
        blocks.append({"text": block["text"]})
        blocks.extend(_cache_point(block))
    return blocks


def _joined(messages: Sequence[Mapping[str, Any]]) -> Iterator[Message]:
    """Consecutive turns of one role are one turn, and an empty last answer of the model is none."""
    current: Message | None = None
    for i, message in enumerate(messages):
        content = list(_content(message["content"], f"messages.{i}.content"))
        if not content and message["role"] == "assistant" and i == len(messages) - 1:
            continue
        if current is not None and current["role"] == message["role"]:
            current["content"].extend(content)
            continue
        if current is not None:
            yield current
        current = {"role": message["role"], "content": content}
    if current is not None:
        yield current


def _content(content: str | Sequence[Mapping[str, Any]], at: str) -> Iterator[ContentBlock]:
    if isinstance(content, str):
        if content:
            yield {"text": content}
        return
    for j, block in enumerate(content):
        yield _block(block, f"{at}.{j}")
        yield from _cache_point(block)


def _cache_point(block: Mapping[str, Any]) -> list[ContentBlock]:
    control = block.get("cache_control")
    if not isinstance(control, dict):
        return []
    return [{"cachePoint": {"type": "default", "ttl": control.get("ttl", "5m")}}]


def _block(block: Mapping[str, Any], at: str) -> ContentBlock:
    kind = block["type"]
    if kind == "tool_use":
        return {"toolUse": {"toolUseId": block["id"], "name": block["name"], "input": block["input"]}}
    if kind == "tool_result":
        return _tool_result(block, at)
    if kind == "thinking":
        return {"reasoningContent": {"reasoningText": {"text": block["thinking"], "signature": block["signature"]}}}
    if kind == "redacted_thinking":
        return {"reasoningContent": {"redactedContent": block["data"].encode()}}
    return _inner(block, at)


def _tool_result(block: Mapping[str, Any], at: str) -> ContentBlock:
    content = block.get("content", "")
    inner: list[Any] = [{"text": content}] if isinstance(content, str) else [
        _inner(part, f"{at}.content.{k}") for k, part in enumerate(content)
    ]  # fmt: skip
    status = "error" if block.get("is_error") else "success"
    return {"toolResult": {"toolUseId": block["tool_use_id"], "content": inner, "status": status}}


def _inner(block: Mapping[str, Any], at: str) -> ContentBlock:
    """The blocks that a tool's result may hold as well."""
    kind = block["type"]
    if kind == "text":
        return {"text": block["text"]}
    if kind == "image":
        return {
            "image": {"format": _image_format(block["source"], at), "source": {"bytes": _data(block["source"], at)}}
        }
    if kind == "search_result":
        pieces: Any = [{"text": piece["text"]} for piece in block["content"]]
        citations: Any = block.get("citations", {"enabled": False})
        found = {"source": block["source"], "title": block["title"], "content": pieces, "citations": citations}
        return {"searchResult": found}  # type: ignore[typeddict-item]  # checked by anthropic_schema
    return _document(block, at)


def _document(block: Mapping[str, Any], at: str) -> ContentBlock:
    source = block["source"]
    kind = "pdf" if source["type"] == "base64" else "txt"
    wanted = "application/pdf" if kind == "pdf" else "text/plain"
    if source.get("media_type", wanted) != wanted:
        raise ModelRefused(f"{at}.document.source.media_type: Input should be '{wanted}'")
    data = _data(source, at) if kind == "pdf" else _plain(source).encode()
    citations: Any = block.get("citations", {"enabled": False})
    name = block.get("title") or "document"
    return {"document": {"name": name, "format": kind, "source": {"bytes": data}, "citations": citations}}


def _plain(source: Mapping[str, Any]) -> str:
    content = source["content"] if source["type"] == "content" else source["data"]
    return content if isinstance(content, str) else "\n".join(piece["text"] for piece in content)


def _image_format(source: Mapping[str, Any], at: str) -> str:
    kind = _IMAGES.get(source["media_type"])
    if kind is None:
        wanted = " or ".join(f"'{name}'" for name in _IMAGES)
        raise ModelRefused(f"{at}.image.source.base64.media_type: Input should be {wanted}")
    return kind


def _data(source: Mapping[str, Any], at: str) -> bytes:
    try:
        return base64.b64decode(source["data"], validate=True)
    except (binascii.Error, ValueError):
        raise ModelRefused(f"{at}.source.base64.data: invalid base64 data") from None
