"""One invocation as AWS's `ModelInvocationLog` has it.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/model-invocation-logging.html
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

# What is larger lies beside the records, as does what is no text.
LARGEST_BODY = 100 * 1024
_MEDIA = {"image": "image", "document": "application", "video": "video", "audio": "audio"}

Data = dict[str, tuple[bytes, str]]


def dumps(value: Any) -> bytes:
    """Bytes as base64, as on the wire."""
    return orjson.dumps(value, default=_encoded)


def _encoded(value: Any) -> str:
    if isinstance(value, bytes | bytearray):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(type(value).__name__)


def body_members(name: str, body: Any, folder: str, request_id: str, data: Data) -> dict[str, Any]:
    """`inputBodyJson` or `inputBodyS3Path` (`name` is input or output); what lies beside is added to `data`."""
    text = dumps(body)
    if len(text) <= LARGEST_BODY:
        return {f"{name}BodyJson": orjson.Fragment(text)}
    uri = f"{folder}/data/{request_id}_{name}.json.gz"
    data[uri] = gzip.compress(text), "application/gzip"
    return {f"{name}BodyS3Path": uri}


def without_media(body: Any, folder: str, request_id: str, data: Data, *, keep: bool) -> Any:
    """Converse's body with the bytes of its pictures and documents beside it, or nowhere unless `keep`."""
    numbers = iter(range(1_000_000))

    def walked(value: Any) -> Any:
        if isinstance(value, list):
            return [walked(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {name: media(name, inner) if name in _MEDIA else walked(inner) for name, inner in value.items()}

    def media(name: str, block: Any) -> Any:
        source = block.get("source") if isinstance(block, dict) else None
        if not isinstance(source, dict) or "bytes" not in source:
            return walked(block)
        if not keep:
            return {**block, "source": {}}
        given = source["bytes"]
        content = given if isinstance(given, bytes) else base64.b64decode(given)
        form = str(block.get("format", "bin"))
        uri = f"{folder}/data/{request_id}_input_{next(numbers)}.{form}"
        data[uri] = content, f"{_MEDIA[name]}/{form}"
        return {**block, "source": {"s3Location": {"uri": uri}}}

    return walked(body)


def tokens_of(usage: Mapping[str, int]) -> tuple[dict[str, int], dict[str, int]]:
    """The counts of the input and of the output, from Converse's usage or InvokeModel's metrics."""
    fresh = usage.get("inputTokens", usage.get("inputTokenCount"))
    output = usage.get("outputTokens", usage.get("outputTokenCount"))
    read = usage.get("cacheReadInputTokens", usage.get("cacheReadInputTokenCount"))
    written = usage.get("cacheWriteInputTokens", usage.get("cacheWriteInputTokenCount"))
    ins = {"inputTokenCount": fresh, "cacheReadInputTokenCount": read, "cacheWriteInputTokenCount": written}
    return (
        {name: value for name, value in ins.items() if value is not None},
        {} if output is None else {"outputTokenCount": output},
    )


def usage_in(events: Sequence[Any]) -> Mapping[str, int]:
    """What a stream's last events say that it cost."""
    return next(_usages(reversed(events)), {})


def _usages(events: Iterator[Any]) -> Iterator[Mapping[str, int]]:
    for event in events:
        if isinstance(event, dict):
            if "metadata" in event and "usage" in event["metadata"]:
                yield event["metadata"]["usage"]
            if "amazon-bedrock-invocationMetrics" in event:
                yield event["amazon-bedrock-invocationMetrics"]
