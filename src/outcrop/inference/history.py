"""What a conversation must look like, on messages in Converse's shape. One set of rules, worded for each wire format by
`wording`.
"""

from __future__ import annotations

from collections.abc import Sequence

from outcrop.errors import ValidationException
from outcrop.inference.failures import ModelRefused
from outcrop.inference.wording import Wording
from outcrop.shapes.bedrock_runtime import ContentBlock, Message


def check(messages: Sequence[Message], words: Wording, *, has_tools: bool) -> None:
    """ValidationException at the first broken rule."""
    if not messages:
        raise ValidationException(words.none)
    if words.start and messages[0]["role"] != "user":
        raise ValidationException(words.start)
    pending: list[str] = []
    for i, message in enumerate(messages):
        if i and words.alternate and message["role"] == messages[i - 1]["role"]:
            raise ValidationException(words.alternate)
        _check_message(i, message, words)
        _check_results(i, message, pending, words)
        pending = _calls(message)
        if len(set(pending)) < len(pending):
            raise ModelRefused(f"messages.{i}: `tool_use` ids must be unique")
    if pending:
        raise _missing(len(messages), pending, words)
    if words.no_tools and not has_tools and any(map(_speaks_of_tools, messages)):
        raise ValidationException(words.no_tools)


def _check_message(i: int, message: Message, words: Wording) -> None:
    if not message["content"]:
        raise ValidationException(words.empty.format(i=i))
    for j, block in enumerate(message["content"]):
        text = block.get("text")
        if words.blank and text is not None and not text.strip():
            raise ValidationException(words.blank.format(i=i, j=j))
        _check_role(i, j, message["role"], block)


def _check_role(i: int, j: int, role: str, block: ContentBlock) -> None:
    """Who may say what: people send pictures and results, models call and reason."""
    wrong = _MODELS_ONLY if role == "user" else _PEOPLES_ONLY
    for kind in block:
        if kind == "reasoningContent" and role == "user":
            raise ValidationException(
                "User messages cannot contain reasoning content. Please remove the reasoning content and try again."
            )
        if kind in wrong:
            raise ValidationException(
                f"The {kind} block at messages.{i}.content.{j} can't be in a message with the {role} role. "
                "Remove it and try again."
            )


_MODELS_ONLY = frozenset({"toolUse", "citationsContent"})
_PEOPLES_ONLY = frozenset({"toolResult", "image", "document", "video", "audio", "searchResult"})


def _check_results(i: int, message: Message, pending: list[str], words: Wording) -> None:
    """The results in message `i` answer the calls `pending` of the message before: each once, and no others."""
    given = [block["toolResult"]["toolUseId"] for block in message["content"] if "toolResult" in block]
    missing = [call for call in pending if call not in given]
    if missing:
        raise _missing(i, missing, words)
    surplus = [result for n, result in enumerate(given) if result not in pending or result in given[:n]]
    if surplus:
        raise ValidationException(words.too_many_results.format(i=i, ids=", ".join(surplus)))


def _missing(i: int, ids: list[str], words: Wording) -> ValidationException:
    return ValidationException(words.missing_results.format(i=i, before=i - 1, ids=", ".join(ids)))


def _calls(message: Message) -> list[str]:
    return [block["toolUse"]["toolUseId"] for block in message["content"] if "toolUse" in block]


def _speaks_of_tools(message: Message) -> bool:
    return any("toolUse" in block or "toolResult" in block for block in message["content"])
