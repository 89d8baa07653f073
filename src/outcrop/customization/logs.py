"""Invocation logs as training data: prompts and the answers that models gave to them."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from outcrop.batch.refused import Refused
from outcrop.errors import ValidationException

MOST_FILTERS = 16
SCHEMA = "bedrock-conversation-2024"


def check(config: Mapping[str, Any], *, taught: bool = False) -> None:
    """`taught`: a teacher answers, so that prompts are enough."""
    filters = config.get("requestMetadataFilters", {})
    if len(filters) > 1:
        raise ValidationException("requestMetadataFilters takes one of equals, notEquals, andAll and orAll.")
    for name in ("andAll", "orAll"):
        if len(filters.get(name, [])) > MOST_FILTERS:
            raise ValidationException(f"{name} takes {MOST_FILTERS} filters at most.")
    if not taught and not config.get("usePromptResponse", False):
        raise ValidationException(
            "usePromptResponse must be true: models are fine-tuned on the prompts of the logs and the answers to them."
        )
    if "s3Uri" not in config["invocationLogSource"]:
        raise ValidationException("invocationLogSource needs an s3Uri.")


def records(body: bytes, uri: str, config: Mapping[str, Any]) -> Iterator[bytes]:
    """Lines of training data from an object of logs: its conversations that fit. Refused if it is none."""
    try:
        text = gzip.decompress(body) if uri.endswith(".gz") else body
        entries = [orjson.loads(line) for line in text.splitlines() if line.strip()]
    except (OSError, EOFError, ValueError):
        raise Refused(f"{uri} does not hold invocation logs.") from None
    for entry in entries:
        if isinstance(entry, dict) and fits(
            entry.get("requestMetadata") or {}, config.get("requestMetadataFilters", {})
        ):
            record = _record(entry)
            if record is not None:
                if not config.get("usePromptResponse", False):
                    record["messages"].pop()
                yield orjson.dumps(record) + b"\n"


def fits(metadata: Mapping[str, str], filters: Mapping[str, Any]) -> bool:
    if "equals" in filters and any(metadata.get(key) != value for key, value in filters["equals"].items()):
        return False
    if "notEquals" in filters and any(metadata.get(key) == value for key, value in filters["notEquals"].items()):
        return False
    if any(not fits(metadata, inner) for inner in filters.get("andAll", [])):
        return False
    either = filters.get("orAll")
    return not either or any(fits(metadata, inner) for inner in either)


def _record(entry: Mapping[str, Any]) -> dict[str, Any] | None:
    """A conversation with its answer; None for what is none, has failed, or lies elsewhere."""
    asked = (entry.get("input") or {}).get("inputBodyJson")
    answered = (entry.get("output") or {}).get("outputBodyJson")
    if isinstance(answered, list) and entry.get("operation") == "ConverseStream":
        answered = _joined(answered)
    if not isinstance(asked, dict) or not isinstance(answered, dict) or "errorCode" in entry:
        return None
    said = ((answered.get("output") or {}).get("message") or {}).get("content")
    if said is None and isinstance(answered.get("content"), list):
        said = [{"text": block["text"]} for block in answered["content"] if isinstance(block, dict) and "text" in block]
    messages = asked.get("messages")
    if not isinstance(messages, list) or not said:
        return None
    answer = [{"text": block["text"]} for block in said if isinstance(block, dict) and "text" in block]
    if not answer:
        return None
    record: dict[str, Any] = {
        "schemaVersion": SCHEMA,
        "messages": [*(_message(message) for message in messages), {"role": "assistant", "content": answer}],
    }
    system = asked.get("system")
    if system:
        record["system"] = [{"text": system}] if isinstance(system, str) else system
    return record


def _message(message: Any) -> Any:
    """InvokeModel's messages may have plain text where Converse's have blocks."""
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        return {**message, "content": [{"text": content}]}
    if isinstance(content, list):
        blocks = [{"text": b["text"]} if isinstance(b, dict) and b.get("type") == "text" else b for b in content]
        return {**message, "content": blocks}
    return message


def _joined(events: list[Any]) -> dict[str, Any]:
    texts = [
        event["contentBlockDelta"]["delta"].get("text", "")
        for event in events
        if isinstance(event, dict) and "contentBlockDelta" in event
    ]
    return {"output": {"message": {"content": [{"text": "".join(texts)}]}}}
