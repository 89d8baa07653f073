"""The shape of an Anthropic Messages body, checked as the schema validator in front of the model does."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import orjson

from outcrop.errors import ValidationException
from outcrop.inference.malformed import Violations

# Bedrock's own word for it, and the dates that the Anthropic SDK sends from its version 2 on.
VERSION = re.compile(r"(bedrock-)?\d{4}-\d{2}-\d{2}")
REQUIRED = ("anthropic_version", "max_tokens", "messages")
OPTIONAL = frozenset(
    {"system", "anthropic_beta", "stop_sequences", "temperature", "top_p", "top_k", "tools", "tool_choice", "thinking",
     "output_config", "metadata", "context_management"}
)  # fmt: skip
MOST_STOP_SEQUENCES = 8191

# Members of the objects that hold a few choices each.
_OPTIONS: Mapping[str, Collection[str]] = {
    "output_config": ("format", "effort"),
    "tool_choice": ("type", "name", "disable_parallel_tool_use"),
    "metadata": ("user_id",),
}

# type of block -> required and allowed keys besides `type` and `cache_control`
BLOCKS: Mapping[str, tuple[Collection[str], Collection[str]]] = {
    "text": (("text",), ("citations",)),
    "image": (("source",), ()),
    "document": (("source",), ("title", "context", "citations")),
    "tool_use": (("id", "name", "input"), ("caller",)),
    "tool_result": (("tool_use_id",), ("content", "is_error")),
    "thinking": (("thinking", "signature"), ()),
    "redacted_thinking": (("data",), ()),
    "search_result": (("source", "title", "content"), ("citations",)),
}
_STRINGS = frozenset({"text", "id", "name", "tool_use_id", "thinking", "signature", "data", "title", "context"})
RESULT_BLOCKS = ("text", "image", "document", "search_result")


def parsed(body: bytes) -> dict[str, Any]:
    """The body as a dict, null members left out. ValidationException in the validator's words."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise ValidationException("Malformed input request, please reformat your input and try again.") from None
    found = Violations()
    if found.kind("#", value, "JSONObject"):
        value = _without_nulls(value)
        _check_body(found, value)
    found.raise_any()
    checked: dict[str, Any] = value
    return checked


def _without_nulls(value: Any) -> Any:
    """SDKs send null for what is not given. Within a tool's input, or a schema, null means something and stays."""
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = ("input", "input_schema", "schema")
    return {key: v if key in kept else _without_nulls(v) for key, v in value.items() if v is not None}


def _check_body(found: Violations, body: dict[str, Any]) -> None:
    found.keys("#", body, REQUIRED, OPTIONAL)
    version = body.get("anthropic_version", "bedrock-2023-05-31")
    if not isinstance(version, str) or VERSION.fullmatch(version) is None:
        found.add("#/anthropic_version", f"{version} is not a valid enum value")
    found.integer(body, "max_tokens", 1, None)
    found.integer(body, "top_k", 0, 500)
    for name in ("temperature", "top_p"):
        found.number(body, name, 0, 1)
    _check_strings(found, body, "stop_sequences", MOST_STOP_SEQUENCES)
    _check_strings(found, body, "anthropic_beta", None)
    for name in ("metadata", "thinking", "output_config", "tool_choice", "context_management"):
        if name in body:
            found.kind(f"#/{name}", body[name], "JSONObject")
    for name, allowed in _OPTIONS.items():
        if isinstance(body.get(name), dict):
            found.keys(f"#/{name}", body[name], (), allowed)
    if "system" in body and found.kind("#/system", body["system"], "String", "JSONArray"):
        _check_content(found, "#/system", body["system"], ("text",))
    _check_list(found, body, "messages", _check_message)
    _check_list(found, body, "tools", _check_tool)


def _check_strings(found: Violations, body: dict[str, Any], name: str, most: int | None) -> None:
    values = body.get(name, [])
    if not found.kind(f"#/{name}", values, "JSONArray"):
        return
    if most is not None and len(values) > most:
        found.add(f"#/{name}", f"expected maximum item count: {most}, found: {len(values)}")
    for i, value in enumerate(values):
        found.kind(f"#/{name}/{i}", value, "String")


def _check_list(found: Violations, body: dict[str, Any], name: str, check: Any) -> None:
    values = body.get(name, [])
    if found.kind(f"#/{name}", values, "JSONArray"):
        for i, value in enumerate(values):
            if found.kind(f"#/{name}/{i}", value, "JSONObject"):
                check(found, f"#/{name}/{i}", value)


def _check_message(found: Violations, at: str, message: dict[str, Any]) -> None:
    found.keys(at, message, ("role", "content"), ())
    role = message.get("role", "user")
    if found.kind(f"{at}/role", role, "String") and role not in ("user", "assistant"):
        found.add(f"{at}/role", f"{role} is not a valid enum value")
    if "content" in message and found.kind(f"{at}/content", message["content"], "String", "JSONArray"):
        _check_content(found, f"{at}/content", message["content"], tuple(BLOCKS))


def _check_content(found: Violations, at: str, content: str | list[Any], types: Collection[str]) -> None:
    for i, block in enumerate(content if isinstance(content, list) else ()):
        if found.kind(f"{at}/{i}", block, "JSONObject"):
            _check_block(found, f"{at}/{i}", block, types)


def _check_block(found: Violations, at: str, block: dict[str, Any], types: Collection[str]) -> None:
    kind = block.get("type")
    if kind is None:
        found.add(at, "required key [type] not found")
        return
    if kind not in types:
        found.add(f"{at}/type", f"{kind} is not a valid enum value")
        return
    required, allowed = BLOCKS[kind]
    found.keys(at, block, required, {"type", "cache_control", *allowed})
    for name in block:
        if name in _STRINGS:
            found.kind(f"{at}/{name}", block[name], "String")
    _check_inside(found, at, kind, block)


def _check_inside(found: Violations, at: str, kind: str, block: dict[str, Any]) -> None:
    if kind == "tool_use" and "input" in block:
        found.kind(f"{at}/input", block["input"], "JSONObject")
    elif kind in ("image", "document") and "source" in block:
        if found.kind(f"{at}/source", block["source"], "JSONObject"):
            _check_source(found, f"{at}/source", block["source"], kind)
    elif kind == "tool_result":
        if "is_error" in block:
            found.kind(f"{at}/is_error", block["is_error"], "Boolean")
        content = block.get("content", "")
        if found.kind(f"{at}/content", content, "String", "JSONArray"):
            _check_content(found, f"{at}/content", content, RESULT_BLOCKS)
    elif kind == "search_result":
        found.kind(f"{at}/source", block.get("source", ""), "String")
        if found.kind(f"{at}/content", block.get("content", []), "JSONArray"):
            _check_content(found, f"{at}/content", block.get("content", []), ("text",))
    if kind in ("document", "search_result") and "citations" in block:
        found.kind(f"{at}/citations", block["citations"], "JSONObject")
    _check_cache_control(found, f"{at}/cache_control", block)


def _check_source(found: Violations, at: str, source: dict[str, Any], kind: str) -> None:
    form = source.get("type")
    if form == "content" and kind == "document":
        found.keys(at, source, ("content",), ("type",))
        if found.kind(f"{at}/content", source.get("content", ""), "String", "JSONArray"):
            _check_content(found, f"{at}/content", source.get("content", ""), ("text",))
    elif form == "base64" or (form == "text" and kind == "document"):
        found.keys(at, source, ("media_type", "data"), ("type",))
        for name in ("media_type", "data"):
            found.kind(f"{at}/{name}", source.get(name, ""), "String")
    else:
        found.add(f"{at}/type", f"{form} is not a valid enum value")


def _check_cache_control(found: Violations, at: str, holder: dict[str, Any]) -> None:
    control = holder.get("cache_control", {"type": "ephemeral"})
    if not found.kind(at, control, "JSONObject"):
        return
    found.keys(at, control, ("type",), ("ttl",))
    if control.get("type", "ephemeral") != "ephemeral":
        found.add(f"{at}/type", f"{control['type']} is not a valid enum value")
    if control.get("ttl", "5m") not in ("5m", "1h"):
        found.add(f"{at}/ttl", f"{control['ttl']} is not a valid enum value")


def _check_tool(found: Violations, at: str, tool: dict[str, Any]) -> None:
    """Tools that Anthropic defines have a `type` of their own and are refused later, by name."""
    if not found.kind(f"{at}/type", tool.get("type", "custom"), "String") or tool.get("type", "custom") != "custom":
        return
    found.keys(at, tool, ("name", "input_schema"), ("type", "description", "strict", "cache_control"))
    found.kind(f"{at}/name", tool.get("name", ""), "String")
    found.kind(f"{at}/description", tool.get("description", ""), "String")
    found.kind(f"{at}/strict", tool.get("strict", False), "Boolean")
    schema = tool.get("input_schema", {"type": "object"})
    if found.kind(f"{at}/input_schema", schema, "JSONObject") and schema.get("type") != "object":
        found.add(f"{at}/input_schema/type", f"{schema.get('type')} is not a valid enum value")
    _check_cache_control(found, f"{at}/cache_control", tool)
