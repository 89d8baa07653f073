"""What stands in a message of a record: text, calls of tools and their results."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from outcrop.training.tokenizer import Message


class Refused(Exception):
    """Why a record cannot be trained on."""


def tools_of(config: object) -> list[dict[str, Any]]:
    """Converse's `toolConfig` as a template is given tools, OpenAI's way."""
    if not isinstance(config, dict) or not isinstance(config.get("tools"), list) or not config["tools"]:
        raise Refused('"toolConfig" must be an object with a list of "tools".')
    return [_tool(tool, f"toolConfig.tools[{number}]") for number, tool in enumerate(config["tools"])]


def _tool(tool: object, place: str) -> dict[str, Any]:
    spec = tool.get("toolSpec") if isinstance(tool, dict) else None
    if not isinstance(spec, dict):
        raise Refused(f'{place} must have a "toolSpec".')
    schema = spec.get("inputSchema")
    parameters = schema.get("json") if isinstance(schema, dict) else None
    if not isinstance(parameters, dict):
        raise Refused(f"{place}.toolSpec.inputSchema.json must be a JSON schema.")
    name, description = _string(spec, "name", f"{place}.toolSpec"), spec.get("description")
    described = {"description": description} if isinstance(description, str) else {}
    return {"type": "function", "function": {"name": name, **described, "parameters": parameters}}


def bedrock_messages(role: str, content: object, place: str) -> list[Message]:
    """A turn of Converse. One of the user's may be several messages: results of tools, and then what the user says."""
    if not isinstance(content, list) or not content:
        raise Refused(f"{place} must be a list of content blocks, and is {kind_of(content)}.")
    texts, calls, results = [], [], []
    for number, block in enumerate(content):
        kind, value = _only(block, f"{place}[{number}]")
        if kind == "text":
            texts.append(text_of(value, f"{place}[{number}].text"))
        elif kind == "toolUse" and role == "assistant":
            calls.append(_call(value, f"{place}[{number}].toolUse"))
        elif kind == "toolResult" and role == "user":
            results.append(_result(value, f"{place}[{number}].toolResult"))
        else:
            raise Refused(
                f"{place}[{number}] is of the kind {kind[:40]!r}; of the {role}'s only {_TRAINED[role]} can be trained on."
            )
    text = "".join(texts)
    if not calls and not results:
        not_empty(text, place)
    if calls:
        return [{"role": role, "content": text, "tool_calls": calls}]
    return [*results, *([said(role, text)] if text.strip() else [])]


_TRAINED = {"user": "text and toolResult", "assistant": "text and toolUse"}


def _call(use: object, place: str) -> dict[str, Any]:
    if not isinstance(use, dict) or not isinstance(use.get("input"), dict):
        raise Refused(f'{place} must be an object whose "input" is one, too.')
    function = {"name": _string(use, "name", place), "arguments": json.dumps(use["input"], ensure_ascii=False)}
    return {"id": _string(use, "toolUseId", place), "type": "function", "function": function}


def _result(result: object, place: str) -> Message:
    if not isinstance(result, dict) or not isinstance(result.get("content"), list):
        raise Refused(f'{place} must be an object with a list of "content".')
    texts = []
    for number, block in enumerate(result["content"]):
        kind, value = _only(block, f"{place}.content[{number}]")
        if kind not in ("text", "json"):
            raise Refused(
                f"{place}.content[{number}] is of the kind {kind[:40]!r}; only text and json can be trained on."
            )
        texts.append(
            text_of(value, f"{place}.content[{number}].text")
            if kind == "text"
            else json.dumps(value, ensure_ascii=False)
        )
    return {"role": "tool", "tool_call_id": _string(result, "toolUseId", place), "content": "".join(texts)}


def check_calls(messages: list[Message]) -> None:
    """Each result answers a call of the turn before, and each call has one, unless it is the last thing said."""
    open_: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_:
                raise Refused(
                    f"A toolResult answers {message['tool_call_id'][:60]!r}, which no toolUse before it is called."
                )
            open_.remove(message["tool_call_id"])
            continue
        if open_:
            raise Refused(f"The toolUse {min(open_)[:60]!r} has no toolResult in the next turn.")
        open_ = {call["id"] for call in message.get("tool_calls", ())}


def texts_of(content: object, place: str) -> str:
    """Blocks that are nothing but text, joined."""
    if not isinstance(content, list) or not content:
        raise Refused(f"{place} must be a list of content blocks, and is {kind_of(content)}.")
    texts = []
    for number, block in enumerate(content):
        kind, value = _only(block, f"{place}[{number}]")
        if kind != "text":
            raise Refused(f"{place}[{number}] is of the kind {kind[:40]!r}; only text can be trained on.")
        texts.append(text_of(value, f"{place}[{number}].text"))
    return not_empty("".join(texts), place)


def _only(block: object, place: str) -> tuple[str, Any]:
    if not isinstance(block, dict) or len(block) != 1:
        raise Refused(f"{place} must be an object with one key.")
    kind, value = next(iter(block.items()))
    return str(kind), value


def _string(given: Mapping[str, Any], key: str, place: str) -> str:
    return not_empty(text_of(given.get(key), f"{place}.{key}"), f"{place}.{key}")


def text_of(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise Refused(f"{place} must be a string, and is {kind_of(value)}.")
    return value


def not_empty(text: str, place: str) -> str:
    if not text.strip():
        raise Refused(f"{place} is empty.")
    return text


def said(role: str, text: str) -> Message:
    return {"role": role, "content": text}


def kind_of(value: object) -> str:
    kinds = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return kinds.get(type(value), "a number")
