"""Messages in Converse's shape, from either wire format, as the engine's chat request."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outcrop.engines.engine import CachePoint, Image, Part, Reasoning, Text, ToolCall, ToolResult
from outcrop.engines.engine import Message as Turn
from outcrop.errors import ValidationException
from outcrop.inference import cache_points, documents, history, images
from outcrop.inference.reasoning import Signer
from outcrop.inference.wording import Wording
from outcrop.models.model import Model
from outcrop.shapes.bedrock_runtime import (
    CachePointBlock,
    ContentBlock,
    GuardrailConverseContentBlock,
    Message,
    SearchResultBlock,
    SystemContentBlock,
    ToolConfiguration,
    ToolResultBlock,
    ToolResultContentBlock,
    ToolUseBlock,
)


@dataclass(frozen=True, slots=True)
class Reader:
    """What reading a conversation needs besides the conversation."""

    model: Model
    words: Wording
    signer: Signer

    def cache_point(self, block: CachePointBlock) -> CachePoint | None:
        """None for engines that keep prefixes unasked."""
        return CachePoint(block.get("ttl")) if self.model.capabilities.cache_points else None  # type: ignore[arg-type]  # one of its literals


async def turns_of(
    reader: Reader,
    messages: Sequence[Message],
    system: Sequence[SystemContentBlock] | None,
    tools: ToolConfiguration | None,
) -> tuple[Turn, ...]:
    """The engine's messages. ValidationException for every rule of `history`, of documents, images and cache points."""
    for i, message in enumerate(messages):
        _check_system_role(i, message)
    history.check(messages, reader.words, has_tools=tools is not None)
    cache_points.check(tools, system, messages)
    images.check_number(sum(map(_images, messages)))
    found = documents.documents_of(messages, named=reader.words.names_documents)
    shown = await documents.texts_of(found) if found else {}
    parts = _Parts(reader, shown)
    first = _system(system, reader)
    return (*first, *(Turn(_role(message["role"]), parts.of_message(i, message)) for i, message in enumerate(messages)))


def _check_system_role(i: int, message: Message) -> None:
    if message["role"] == "system":
        raise ValidationException(
            f"This model doesn't support the system role in messages.{i}. Use the system field and try again."
        )


def _images(message: Message) -> int:
    """How many, those in results and in marked content too."""
    blocks: list[Mapping[str, Any]] = list(message["content"])
    blocks += [
        inner for block in message["content"] if "toolResult" in block for inner in block["toolResult"]["content"]
    ]
    blocks += [block["guardContent"] for block in message["content"] if "guardContent" in block]
    return sum("image" in block for block in blocks)


def _role(role: str) -> Any:
    """Checked by `history` to be user or assistant."""
    return role


def _system(blocks: Sequence[SystemContentBlock] | None, reader: Reader) -> tuple[Turn, ...]:
    """One text, or as many as cache points make of it."""
    texts: list[str] = []
    parts: list[Text | CachePoint] = []
    for i, block in enumerate(blocks or ()):
        if "cachePoint" in block and (point := reader.cache_point(block["cachePoint"])) is not None and texts:
            parts += [Text("\n".join(texts)), point]
            texts.clear()
        text = block["text"] if "text" in block else _guarded_text(block.get("guardContent"))
        if text is not None and not text.strip():
            raise ValidationException(
                f"The text field in the SystemContentBlock object at system.{i} is blank. Add text to the text field, "
                "and try again."
            )
        if text is not None:
            texts.append(text)
    if texts:
        parts.append(Text("\n".join(texts)))
    if parts and not reader.model.capabilities.system:
        raise ValidationException("This model doesn't support system messages.")
    return (Turn("system", tuple(parts)),) if parts else ()


def _guarded_text(block: GuardrailConverseContentBlock | None) -> str | None:
    return block["text"]["text"] if block is not None and "text" in block else None


class _Parts:
    """Blocks as parts. `shown` has the text of each document by its place."""

    def __init__(self, reader: Reader, shown: Mapping[str, str]) -> None:
        self._reader = reader
        self._shown = shown

    def of_message(self, i: int, message: Message) -> tuple[Part, ...]:
        parts = (self._part(f"messages.{i}.content.{j}", block) for j, block in enumerate(message["content"]))
        return tuple(part for part in parts if part is not None)

    def _part(self, where: str, block: ContentBlock) -> Part | None:
        if "text" in block:
            return Text(block["text"])
        kind = next(iter(block))
        if kind == "cachePoint":
            return self._reader.cache_point(block["cachePoint"])
        read = getattr(self, f"_{kind}", None)
        if read is None:
            raise ValidationException(f"This model doesn't support {_PLURALS.get(kind, kind)}.")
        part: Part = read(where, block[kind])  # type: ignore[literal-required]  # the one member of a union
        return part

    def _image(self, where: str, block: Any) -> Image:
        return images.image_of(block, f"{where}.image", self._reader.model)

    def _document(self, where: str, block: Any) -> Text:
        return Text(self._shown[f"{where}.document"])

    def _guardContent(self, where: str, block: GuardrailConverseContentBlock) -> Text | Image:
        """Without a guardrail, marked content is content."""
        if "image" in block:
            image = block["image"]
            if not self._reader.model.capabilities.images:
                raise ValidationException("This model doesn't support images.")
            return images.checked(image["format"], image["source"].get("bytes", b""), f"{where}.guardContent.image")
        return Text(block["text"]["text"])

    def _toolUse(self, where: str, block: ToolUseBlock) -> ToolCall:
        if not isinstance(block["input"], dict):
            raise ValidationException(
                f"The format of the value at {where}.toolUse.input is invalid. Provide a json object for the field "
                "and try again."
            )
        return ToolCall(block["toolUseId"], block["name"], block["input"])

    def _toolResult(self, where: str, block: ToolResultBlock) -> ToolResult:
        contents = enumerate(block["content"])
        parts = tuple(self._result(f"{where}.toolResult.content.{k}", inner) for k, inner in contents)
        return ToolResult(block["toolUseId"], parts, block.get("status") == "error")

    def _result(self, where: str, block: ToolResultContentBlock) -> Text | Image:
        if "text" in block:
            return Text(block["text"])
        if "json" in block:
            # Spaced as in most of what models are trained on: a small one reads `{"a":1}` badly.
            return Text(json.dumps(block["json"], ensure_ascii=False))
        if "image" in block:
            return self._image(where, block["image"])
        if "document" in block:
            return Text(self._shown[f"{where}.document"])
        if "searchResult" in block:
            return self._searchResult(where, block["searchResult"])
        raise ValidationException("This model doesn't support video.")

    def _searchResult(self, where: str, block: SearchResultBlock) -> Text:
        if block.get("citations", {}).get("enabled"):
            raise ValidationException("This model doesn't support citations.")
        text = "\n".join(piece["text"] for piece in block["content"])
        return Text(f'<search_result title="{block["title"]}" source="{block["source"]}">\n{text}\n</search_result>')

    def _citationsContent(self, where: str, block: Any) -> Text:
        return Text("".join(piece.get("text", "") for piece in block.get("content", ())))

    def _reasoningContent(self, where: str, block: Any) -> Reasoning:
        if not self._reader.model.capabilities.reasoning:
            raise ValidationException("This model doesn't support reasoning content.")
        if "reasoningText" not in block:
            raise ValidationException("This model doesn't support redacted reasoning content.")
        text = block["reasoningText"]
        return Reasoning(text["text"], self._reader.signer.check(text["text"], text.get("signature"), where))


_PLURALS = {
    "toolAddition": "tool additions in messages",
    "toolRemoval": "tool removals in messages",
}
