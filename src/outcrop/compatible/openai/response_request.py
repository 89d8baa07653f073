"""A Responses body as a chat completion's body, whose reader it shares.

Source: https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from outcrop.errors import ValidationException
from outcrop.inference.families.body import Member, array, boolean, integer, mapping, number, string

MEMBERS: Mapping[str, Member] = {
    "model": string(required=True),
    "input": Member(("String", "JSONArray"), required=True),
    "instructions": string(),
    "previous_response_id": string(),
    "store": boolean(),
    "stream": boolean(),
    "max_output_tokens": integer(1),
    "temperature": number(0, 2),
    "top_p": number(0, 1),
    "tools": array(),
    "tool_choice": Member(("String", "JSONObject")),
    "parallel_tool_calls": boolean(),
    "text": mapping(),
    "truncation": string(),
    "background": boolean(),
    "reasoning": mapping(),
    "include": array(),
    "service_tier": string(),
    "top_logprobs": integer(0),
    # They say nothing about the answer.
    "metadata": mapping(),
    "user": string(),
    "safety_identifier": string(),
    "prompt_cache_key": string(),
    "prompt_cache_retention": string(),
    "stream_options": mapping(),
}
_SAME = ("temperature", "top_p", "parallel_tool_calls", "tool_choice", "model")


def check(given: Mapping[str, Any]) -> None:
    """ValidationException for what would change the answer and cannot be done."""
    if given.get("background"):
        raise ValidationException("background: Responses in the background are not built in this version of Outcrop.")
    if given.get("truncation", "disabled") != "disabled":
        raise ValidationException("truncation: Nothing is ever cut from a conversation; use 'disabled'.")
    if (given.get("reasoning") or {}).get("effort") is not None:
        raise ValidationException("reasoning.effort: This model doesn't support the effort parameter.")
    if given.get("top_logprobs"):
        raise ValidationException("top_logprobs: This model doesn't support log probabilities.")


def items_of(given: str | Sequence[Any]) -> list[dict[str, Any]]:
    """The input's items; a text is one message of the user's."""
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": given}]}]
    return [_typed(item) for item in given]


def _typed(item: Any) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise ValidationException("input: Every item must be an object.")
    return {**item, "type": item.get("type", "message")}


def chat_body(given: Mapping[str, Any], items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The chat completion that continues `items`."""
    system = [{"role": "system", "content": given["instructions"]}] if given.get("instructions") else []
    body: dict[str, Any] = {"messages": [*system, *_messages(items)]}
    body.update({name: given[name] for name in _SAME if name in given})
    if "max_output_tokens" in given:
        body["max_completion_tokens"] = given["max_output_tokens"]
    if given.get("tools"):
        body["tools"] = [_tool(tool) for tool in given["tools"]]
    if (wanted := (given.get("text") or {}).get("format")) is not None:
        body["response_format"] = _format(wanted)
    return body


def _tool(tool: Any) -> Any:
    """Functions lie flat here; what else there is, the reader refuses."""
    if not isinstance(tool, dict) or tool.get("type") != "function":
        return tool
    return {"type": "function", "function": {key: value for key, value in tool.items() if key != "type"}}


def _format(wanted: Any) -> dict[str, Any]:
    if isinstance(wanted, dict) and wanted.get("type") == "json_schema":
        return {"type": "json_schema", "json_schema": {"schema": wanted.get("schema")}}
    return wanted if isinstance(wanted, dict) else {"type": wanted}


def _messages(items: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for n, item in enumerate(items):
        kind = item["type"]
        if kind == "message":
            yield {"role": item.get("role"), "content": _content(item.get("content"))}
        elif kind == "function_call":
            function = {"name": item.get("name"), "arguments": item.get("arguments")}
            call = {"id": item.get("call_id"), "type": "function", "function": function}
            yield {"role": "assistant", "tool_calls": [call]}
        elif kind == "function_call_output":
            yield {"role": "tool", "tool_call_id": item.get("call_id"), "content": _content(item.get("output"))}
        elif kind == "reasoning":
            text = "".join(part.get("text", "") for part in item.get("content") or () if isinstance(part, dict))
            yield {"role": "assistant", "reasoning_content": text}
        else:
            raise ValidationException(
                f"input.{n}.type: Items of the type {kind!r} are not supported. Use messages, function calls and "
                "their outputs, and reasoning."
            )


def _content(content: Any) -> Any:
    return [_part(part) for part in content] if isinstance(content, list) else content


def _part(part: Any) -> Any:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in ("input_text", "output_text"):
        return {"type": "text", "text": part.get("text")}
    if kind == "input_image":
        return {"type": "image_url", "image_url": {"url": part.get("image_url")}}
    if kind == "input_file":
        return {"type": "file", "file": {"filename": part.get("filename"), "file_data": part.get("file_data")}}
    return part
