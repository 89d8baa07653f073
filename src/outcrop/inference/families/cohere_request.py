"""A body of Cohere Command R as a request, by way of Converse's shape, whose rules it shares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from outcrop.context import Context
from outcrop.engines.engine import ChatRequest, CompletionRequest, Sampling
from outcrop.errors import ValidationException
from outcrop.inference.conversation import Reader, turns_of
from outcrop.inference.families.body import array, boolean, check, integer, mapping, number, opened, string
from outcrop.inference.families.cohere_tools import (
    CALL,
    DEFINITION,
    RESULT,
    TOOL,
    calls_of,
    configuration_of,
    results_of,
)
from outcrop.inference.families.family import Asked
from outcrop.inference.families.prompts import check_generates, most_tokens
from outcrop.inference.malformed import Violations
from outcrop.inference.reasoning import Signer
from outcrop.inference.tools import tools_of
from outcrop.inference.wording import NATIVE
from outcrop.models.model import Model
from outcrop.shapes.bedrock_runtime import ContentBlock, Message, SystemContentBlock

MEMBERS = {
    "message": string(required=True),
    "chat_history": array(mapping({
        "role": string(required=True, choices=("USER", "CHATBOT", "SYSTEM", "TOOL")),
        "message": string(),
        "tool_calls": array(replace(CALL, required=False)),
        "tool_results": array(RESULT),
    })),
    "documents": array(mapping()),
    "search_queries_only": boolean(),
    "preamble": string(),
    "max_tokens": integer(1),
    "temperature": number(0, 1),
    "p": number(0, 1),
    "k": integer(0, 500),
    "prompt_truncation": string(choices=("OFF", "AUTO_PRESERVE_ORDER")),
    "frequency_penalty": number(0, 1),
    "presence_penalty": number(0, 1),
    "seed": integer(0),
    "return_prompt": boolean(),
    "tools": array(TOOL),
    "tool_results": array(RESULT),
    "stop_sequences": array(string(shortest=1)),
    "raw_prompting": boolean(),
}  # fmt: skip
DEFAULT_TEMPERATURE = 0.3
DEFAULT_P = 0.75
# What a raw prompt leaves no place for.
_NOT_RAW = ("chat_history", "documents", "preamble", "tools", "tool_results")
# Turns of one role in a row are joined here, as Cohere does.
WORDS = replace(
    NATIVE,
    alternate=None,
    start="chat_history: A conversation must start with a message of the USER.",
    missing_results="tool_results: A call in the turn before has no result: {ids}",
    no_tools="tools: They must be given where tool_results are.",
)


async def read(ctx: Context, model: Model, body: bytes) -> Asked:
    """ValidationException for whatever is wrong with the body or cannot be done by this model.

    Documents are shown to the model with the message. It makes no citations of them.
    """
    given = opened(body, MEMBERS)
    _check_definitions(given)
    check_generates(model)
    _refuse(given)
    if not given["message"] and not given.get("tool_results"):
        raise ValidationException(
            "Malformed input request: #/message: expected minLength: 1, actual: 0, please reformat your input and try "
            "again."
        )
    sampling = _sampling(given, model)
    if given.get("raw_prompting"):
        return Asked(_raw(given, sampling), given, WORDS)
    configuration = configuration_of(given.get("tools", ()))
    tools, choice = tools_of(configuration, model)
    reader = Reader(model, WORDS, Signer(ctx.parts.vault))
    turns = await turns_of(reader, list(_messages(given)), _system(given), configuration)
    return Asked(ChatRequest(turns, tools, choice, sampling=sampling), given, WORDS)


def _check_definitions(given: Mapping[str, Any]) -> None:
    """Of the tools' parameters, whose names are the caller's."""
    found = Violations()
    for i, tool in enumerate(given.get("tools", ())):
        for name, definition in tool.get("parameter_definitions", {}).items():
            at = f"#/tools/{i}/parameter_definitions/{name}"
            if found.kind(at, definition, "JSONObject"):
                check(found, at, {key: value for key, value in definition.items() if value is not None}, DEFINITION)
    found.raise_any()


def _refuse(given: Mapping[str, Any]) -> None:
    """What would change the answer and cannot be done."""
    if given.get("search_queries_only"):
        raise ValidationException("search_queries_only: This model doesn't support search queries.")
    if given.get("return_prompt"):
        raise ValidationException("return_prompt: This model doesn't support returning the prompt.")
    if given.get("prompt_truncation", "OFF") != "OFF":
        raise ValidationException("prompt_truncation: This model doesn't cut prompts. Use OFF and try again.")


def _sampling(given: Mapping[str, Any], model: Model) -> Sampling:
    return Sampling(
        max_tokens=most_tokens(given, "max_tokens", None, model),
        temperature=given.get("temperature", DEFAULT_TEMPERATURE),
        top_p=given.get("p", DEFAULT_P),
        top_k=given.get("k"),
        seed=given.get("seed"),
        stop=tuple(given.get("stop_sequences", ())),
        frequency_penalty=given.get("frequency_penalty"),
        presence_penalty=given.get("presence_penalty"),
    )


def _raw(given: Mapping[str, Any], sampling: Sampling) -> CompletionRequest:
    beside = [name for name in _NOT_RAW if given.get(name)]
    if beside:
        raise ValidationException(f"raw_prompting: The message is the whole prompt. Remove {', '.join(beside)}.")
    return CompletionRequest(given["message"], sampling=sampling)


def _system(given: Mapping[str, Any]) -> list[SystemContentBlock] | None:
    texts = [given.get("preamble", "")]
    texts += [entry.get("message", "") for entry in given.get("chat_history", ()) if entry["role"] == "SYSTEM"]
    return [{"text": text} for text in texts if text.strip()] or None


def _messages(given: Mapping[str, Any]) -> Iterator[Message]:
    current: Message | None = None
    for role, blocks in _turns(given):
        if not blocks:
            continue
        if current is not None and current["role"] == role:
            current["content"] = [*current["content"], *blocks]
            continue
        if current is not None:
            yield current
        current = {"role": role, "content": blocks}
    if current is not None:
        yield current


def _turns(given: Mapping[str, Any]) -> Iterator[tuple[str, list[ContentBlock]]]:
    """The history, the message with its documents, and the results of calls; each with the calls that it is of."""
    waiting = ""
    for i, entry in enumerate(given.get("chat_history", ())):
        results = entry.get("tool_results", ())
        if waiting and not results:
            raise ValidationException(f"{waiting}: The results of these calls are missing.")
        if entry["role"] == "CHATBOT":
            waiting = f"chat_history.{i}.tool_calls" if entry.get("tool_calls") else ""
            yield "assistant", _text(entry.get("message", ""))
        elif entry["role"] == "USER":
            yield "user", _text(entry.get("message", ""))
        if results:
            waiting = ""
            yield "assistant", calls_of(results, f"history_{i}")
            yield "user", results_of(results, f"history_{i}")
    results = given.get("tool_results", ())
    if waiting and (given["message"] or not results):
        raise ValidationException(f"{waiting}: The results of these calls are missing.")
    yield "user", _documents(given) + _text(given["message"])
    yield "assistant", calls_of(results, "call")
    yield "user", results_of(results, "call")


def _text(text: str) -> list[ContentBlock]:
    return [{"text": text}] if text else []


def _documents(given: Mapping[str, Any]) -> list[ContentBlock]:
    return [{"text": _document(n, fields)} for n, fields in enumerate(given.get("documents", ()))]


def _document(n: int, fields: Mapping[str, Any]) -> str:
    lines = "\n".join(f"{name}: {value}" for name, value in fields.items() if name != "id")
    return f'<document id="{fields.get("id", f"doc_{n}")}">\n{lines}\n</document>'
