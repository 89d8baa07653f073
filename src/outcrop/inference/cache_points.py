"""cachePoint blocks. Prefixes are cached with or without them (`usage.py`); their rules hold all the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from outcrop.errors import ValidationException
from outcrop.inference.failures import ModelRefused
from outcrop.shapes.bedrock_runtime import Message, SystemContentBlock, ToolConfiguration

MOST = 4


def check(
    tools: ToolConfiguration | None, system: Sequence[SystemContentBlock] | None, messages: Sequence[Message]
) -> None:
    """At most four, none of them first in its list, and those of an hour before those of five minutes."""
    lists = [("toolConfig.tools", tools["tools"] if tools else ()), ("system", system or ())]
    lists += [(f"messages.{i}.content", message["content"]) for i, message in enumerate(messages)]
    points = [point for where, blocks in lists for point in _points(where, blocks)]
    if len(points) > MOST:
        raise ModelRefused(f"A maximum of {MOST} blocks with cache_control may be provided. Found {len(points)}.")
    lives = [point.get("ttl", "5m") for point in points]
    if lives != sorted(lives):
        raise ModelRefused("a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block.")


def _points(where: str, blocks: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for i, block in enumerate(blocks):
        if "cachePoint" in block:
            if i == 0:
                raise ValidationException(
                    f"The cachePoint block at {where}.{i} can't be the first block. Put it after the content to cache."
                )
            yield block["cachePoint"]
