"""What a prompt router looks at in a request, read without judging it: whoever reads the request through says what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from outcrop.models.difficulty import Outline
from outcrop.shapes.bedrock_runtime import ConverseRequest, ConverseStreamRequest

# Documents in these formats are their own text.
_PLAIN = frozenset({"txt", "md", "csv", "html"})
# Members of native bodies that hold what people and models wrote.
_TEXT_MEMBERS = frozenset({"text", "content", "prompt", "inputText", "message", "system", "thinking"})
_IMAGE_TYPES = ("image", "image_url")


def of_converse(request: ConverseRequest | ConverseStreamRequest, *, streaming: bool) -> Outline:
    messages = request.get("messages", [])
    blocks = [block for message in messages for block in _flat(message["content"])]
    system = request.get("system", [])
    tools = request.get("toolConfig", {}).get("tools", [])
    images = sum("image" in block for block in blocks)
    reasoned = any("reasoningContent" in block for block in blocks)
    return Outline(
        text=_last_asked(messages),
        characters=sum(map(_characters, blocks)) + sum(map(_characters, system)),
        turns=sum(message["role"] == "user" for message in messages),
        tools=len(tools),
        images=images,
        needs=_needs(
            streaming=streaming,
            tools=bool(tools),
            images=images > 0,
            system=bool(system),
            reasoning=reasoned,
            json_schema="textFormat" in request.get("outputConfig", {}),
        ),
        max_tokens=request.get("inferenceConfig", {}).get("maxTokens"),
    )


def of_body(body: bytes, *, streaming: bool) -> Outline:
    """A native body, of whatever family."""
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        given = None
    if not isinstance(given, dict):
        return Outline(needs=_needs(streaming=streaming))
    messages = [message for message in _list(given.get("messages")) if isinstance(message, dict)]
    tools = _list(given.get("tools")) or _list(_dict(given.get("toolConfig")).get("tools"))
    images = sum(map(_is_image, _dicts(given))) + len(_list(given.get("images")))
    return Outline(
        text=_last_asked_of_body(given, messages),
        characters=sum(map(len, _texts(given))),
        turns=max(1, sum(message.get("role") == "user" for message in messages)),
        tools=len(tools),
        images=images,
        needs=_needs(streaming=streaming, tools=bool(tools), images=images > 0),
    )


def _needs(**needed: bool) -> frozenset[str]:
    """Names of members of `Capabilities`."""
    return frozenset(("chat", *(name for name, is_needed in needed.items() if is_needed)))


def _last_asked(messages: Sequence[Mapping[str, Any]]) -> str:
    """The last message of the user that has text: what is asked stays the same while tools are called."""
    for message in reversed(messages):
        texts = [text for block in message["content"] if (text := _text(block))]
        if message["role"] == "user" and texts:
            return "\n".join(texts)
    return ""


def _text(block: Mapping[str, Any]) -> str:
    marked = block.get("guardContent", {})
    return block["text"] if "text" in block else marked["text"]["text"] if "text" in marked else ""


def _flat(blocks: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Blocks, and those in tools' results and in marked content."""
    for block in blocks:
        yield block
        yield from block.get("toolResult", {}).get("content", ())
        if "image" in block.get("guardContent", {}):
            yield block["guardContent"]


def _characters(block: Mapping[str, Any]) -> int:
    if "document" in block:
        source = block["document"]["source"]
        plain = len(source.get("bytes", b"")) if block["document"].get("format") in _PLAIN else 0
        return (
            plain + len(source.get("text", "")) + sum(len(part.get("text", "")) for part in source.get("content", ()))
        )
    if "json" in block:
        return len(orjson.dumps(block["json"], default=str))
    return len(_text(block))


def _last_asked_of_body(given: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]) -> str:
    for message in reversed(messages):
        texts = list(_texts(message.get("content")))
        if isinstance(message.get("content"), str):
            texts = [message["content"]]
        if message.get("role") == "user" and any(texts):
            return "\n".join(texts)
    return next((text for name in ("message", "prompt", "inputText") if isinstance(text := given.get(name), str)), "")


def _dicts(value: Any) -> Iterator[Mapping[str, Any]]:
    """All objects in a JSON value, itself included."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, dict):
            yield found
            waiting.extend(found.values())
        elif isinstance(found, list):
            waiting.extend(reversed(found))


def _texts(value: Any) -> Iterator[str]:
    for found in _dicts(value):
        yield from (text for name, text in found.items() if name in _TEXT_MEMBERS and isinstance(text, str))


def _is_image(found: Mapping[str, Any]) -> bool:
    return found.get("type") in _IMAGE_TYPES or isinstance(found.get("image"), dict)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
