"""Messages of a chat completion in Converse's shape."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from outcrop.errors import ValidationException
from outcrop.shapes.bedrock_runtime import ContentBlock, Message, SystemContentBlock

_DATA_URL = re.compile(r"data:(?P<type>[\w.+/-]+);base64,(?P<data>.*)", re.DOTALL)
_IMAGES = {"image/png": "png", "image/jpeg": "jpeg", "image/jpg": "jpeg", "image/gif": "gif", "image/webp": "webp"}
_ROLES = ("system", "developer", "user", "assistant", "tool")


def messages_of(given: Sequence[Any]) -> tuple[list[Message], list[SystemContentBlock] | None]:
    """The turns, those of one role in a row joined, and what all system and developer messages say."""
    system: list[SystemContentBlock] = []
    turns: list[Message] = []
    for i, message in enumerate(given):
        role = message.get("role") if isinstance(message, dict) else None
        if role not in _ROLES:
            raise ValidationException(f"messages.{i}.role: Use one of {', '.join(map(repr, _ROLES))}.")
        if role in ("system", "developer"):
            system += [{"text": text} for text in _texts(message.get("content"), f"messages.{i}") if text.strip()]
        else:
            _append(turns, "assistant" if role == "assistant" else "user", list(_blocks(message, f"messages.{i}")))
    return turns, system or None


def _append(turns: list[Message], role: str, blocks: list[ContentBlock]) -> None:
    if not blocks:
        return
    if turns and turns[-1]["role"] == role:
        turns[-1]["content"] = [*turns[-1]["content"], *blocks]
    else:
        turns.append({"role": role, "content": blocks})


def _blocks(message: dict[str, Any], at: str) -> Iterator[ContentBlock]:
    role = message["role"]
    if role == "tool":
        yield _result(message, at)
        return
    if role == "assistant" and isinstance(reasoning := message.get("reasoning_content"), str) and reasoning:
        yield {"reasoningContent": {"reasoningText": {"text": reasoning}}}
    yield from _content(message.get("content"), at, role)
    if role == "assistant":
        for n, call in enumerate(message.get("tool_calls") or ()):
            yield _call(call, f"{at}.tool_calls.{n}")


def _content(content: Any, at: str, role: str) -> Iterator[ContentBlock]:
    """An assistant's empty text says nothing; a user's is handed on, and its rules apply."""
    if content is None or content == "":
        if role == "user":
            raise ValidationException(f"{at}.content: The content is empty.")
        return
    if isinstance(content, str):
        yield {"text": content}
        return
    if not isinstance(content, list):
        raise ValidationException(f"{at}.content: Give a text or a list of parts.")
    for n, part in enumerate(content):
        yield _part(part, f"{at}.content.{n}")


def _part(part: Any, at: str) -> ContentBlock:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("text", "refusal") and isinstance(part.get(kind), str):
        return {"text": part[kind]}
    if kind == "image_url":
        image = part.get("image_url")
        return _image(image.get("url") if isinstance(image, dict) else image, f"{at}.image_url")
    if kind == "file" and isinstance(part.get("file"), dict):
        return _file(part["file"], f"{at}.file")
    raise ValidationException(f"{at}.type: Use 'text', 'image_url' with a data URL, or 'file' with a PDF's file_data.")


def _image(url: Any, at: str) -> ContentBlock:
    media, data = _decoded(url, at)
    if media not in _IMAGES:
        raise ValidationException(f"{at}.url: The image must be one of {', '.join(_IMAGES)}.")
    return {"image": {"format": _IMAGES[media], "source": {"bytes": data}}}


def _file(file: dict[str, Any], at: str) -> ContentBlock:
    media, data = _decoded(file.get("file_data"), f"{at}.file_data")
    if media != "application/pdf":
        raise ValidationException(f"{at}.file_data: The file must be a PDF.")
    return {"document": {"name": str(file.get("filename") or "document"), "format": "pdf", "source": {"bytes": data}}}


def _decoded(url: Any, at: str) -> tuple[str, bytes]:
    """The media type and bytes of a data URL. Nothing is ever fetched."""
    match = _DATA_URL.fullmatch(url) if isinstance(url, str) else None
    if match is None:
        raise ValidationException(f"{at}: Give a data URL (data:image/png;base64,...). Other URLs are not fetched.")
    try:
        return match["type"].lower(), base64.b64decode(match["data"], validate=True)
    except (binascii.Error, ValueError):
        raise ValidationException(f"{at}: The data URL is not valid base64.") from None


def _call(call: Any, at: str) -> ContentBlock:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise ValidationException(f"{at}.function: A function with its name is required.")
    return {"toolUse": {"toolUseId": str(call.get("id")), "name": function["name"], "input": _arguments(function, at)}}


def _arguments(function: dict[str, Any], at: str) -> dict[str, Any]:
    try:
        arguments = orjson.loads(function.get("arguments") or "{}")
    except (orjson.JSONDecodeError, TypeError):
        arguments = None
    if not isinstance(arguments, dict):
        raise ValidationException(f"{at}.function.arguments: The arguments must be the JSON of an object.")
    return arguments


def _result(message: dict[str, Any], at: str) -> ContentBlock:
    if not isinstance(message.get("tool_call_id"), str):
        raise ValidationException(f"{at}.tool_call_id: A tool's message needs the id of the call that it answers.")
    texts = _texts(message.get("content"), at)
    return {"toolResult": {"toolUseId": message["tool_call_id"], "content": [{"text": text} for text in texts]}}


def _texts(content: Any, at: str) -> list[str]:
    """Of a message that holds text only."""
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    if not isinstance(parts, list):
        raise ValidationException(f"{at}.content: Give a text or a list of parts.")
    texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise ValidationException(f"{at}.content: This message holds text only.")
    return [text for text in texts if isinstance(text, str)]
