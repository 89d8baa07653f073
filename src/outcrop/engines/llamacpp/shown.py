"""What a model is shown, where that is not what was asked as it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import orjson

from outcrop.engines.engine import Image, Message, Text, Tool


def told(tool: Tool) -> Tool:
    """The tool with its schema in its description."""
    schema = orjson.dumps(tool.schema).decode()
    return replace(tool, description=f"{tool.description}\nParameters: {schema}".strip(), schema={"type": "object"})


def without_images(message: Message) -> Message:
    return replace(message, parts=tuple(part for part in message.parts if not isinstance(part, Image)))


def continued(messages: Sequence[Message], said: str) -> tuple[Message, ...]:
    """The conversation with what the model has said of its answer so far."""
    if not said:
        return tuple(messages)
    if messages[-1].role == "assistant":
        return (*messages[:-1], Message("assistant", (*messages[-1].parts, Text(said))))
    return (*messages, Message("assistant", (Text(said),)))
