"""Bedrock's JSONL training records as conversations and texts. All that is wrong with the files is told at once."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outcrop.encryption import working
from outcrop.training.customizing.content import Refused as Refused
from outcrop.training.customizing.content import (
    bedrock_messages,
    check_calls,
    kind_of,
    not_empty,
    said,
    text_of,
    texts_of,
    tools_of,
)
from outcrop.training.customizing.spec import MOST_PROBLEMS
from outcrop.training.tokenizer import Message

CONVERSATION = "bedrock-conversation-2024"
LONGEST_LINE = 32 * 1024 * 1024


class InvalidData(Exception):
    """`problems`: a sentence each, with file and line, at most MOST_PROBLEMS and one that counts the rest."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages and tools in OpenAI's shape."""

    messages: list[Message]
    tools: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """All of it is trained on."""

    text: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to what `messages` end with: the preferred one and the other."""

    messages: list[Message]
    preferred: Message
    other: Message


@dataclass(frozen=True, slots=True)
class Prompt:
    """What is to be answered, and the whole record, for whoever grades the answer."""

    messages: list[Message]
    record: Mapping[str, Any]


class Problems:
    """Collects what is wrong, and raises it once everything was looked at."""

    def __init__(self) -> None:
        self._told: list[str] = []
        self._count = 0

    def add(self, path: Path, line: int | None, reason: str) -> None:
        self._count += 1
        if self._count <= MOST_PROBLEMS:
            self._told.append(f"{path.name} line {line}: {reason}" if line is not None else f"{path.name}: {reason}")

    def raise_if_any(self) -> None:
        if self._count > MOST_PROBLEMS:
            self._told.append(f"and {self._count - MOST_PROBLEMS} more")
        if self._count:
            raise InvalidData(self._told)


def lines(path: Path, problems: Problems) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number from 1, object) of each sound line that is not blank; others become problems."""
    found = 0
    try:
        with working.opened(path, os.environ.get(working.VARIABLE)) as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                found += 1
                try:
                    yield number, _object(line)
                except Refused as refusal:
                    problems.add(path, number, str(refusal))
    except OSError as problem:
        problems.add(path, None, f"The file cannot be read: {problem.strerror}.")
        return
    if not found:
        problems.add(path, None, "The file has no records.")


def _object(line: bytes) -> dict[str, Any]:
    if len(line) > LONGEST_LINE:
        raise Refused(f"The line is longer than {LONGEST_LINE // 1024**2} MB.")
    try:
        record = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError as problem:
        raise Refused(f"The line is not UTF-8 (byte {problem.start + 1}).") from None
    except json.JSONDecodeError as problem:
        raise Refused(f"The line is not valid JSON: {problem.msg} (column {problem.colno}).") from None
    except RecursionError:
        raise Refused("The line is nested too deeply.") from None
    if not isinstance(record, dict):
        raise Refused(f"The line must be a JSON object, and is {kind_of(record)}.")
    return record


def fine_tuning(record: Mapping[str, Any]) -> Conversation:
    """Prompt and completion, `bedrock-conversation-2024`, or Claude's messages."""
    if "prompt" in record or "completion" in record:
        prompt, completion = _words(record, "prompt"), _words(record, "completion")
        return Conversation([said("user", prompt), said("assistant", completion)])
    if "schemaVersion" in record:
        return _bedrock_conversation(record)
    if "messages" in record:
        system = record.get("system")
        if system is not None and not isinstance(system, str):
            raise Refused(f'"system" must be a string, and is {kind_of(system)}.')
        return Conversation(_turns(system, record["messages"], _claude_messages))
    if "input" in record:
        raise Refused('A record {"input"} is for continued pre-training; fine-tuning needs prompt and completion.')
    raise Refused(
        'The record has neither "prompt" and "completion" nor "messages"'
        f"; its keys are {', '.join(map(repr, sorted(record)[:8])) or 'none'}."
    )


def continued_pre_training(record: Mapping[str, Any]) -> Text:
    if "input" not in record and ("completion" in record or "messages" in record):
        raise Refused('Continued pre-training needs records {"input"}; this one is for fine-tuning.')
    return Text(_words(record, "input"))


def preference(record: Mapping[str, Any]) -> Pair:
    """Prompt, chosen and rejected; or `bedrock-conversation-2024` whose last turn has candidates, as Nova's DPO records have."""
    if "schemaVersion" not in record:
        prompt, chosen, rejected = (_words(record, key) for key in ("prompt", "chosen", "rejected"))
        return _pair([said("user", prompt)], chosen, rejected)
    messages = record.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    candidates = last.get("candidates") if isinstance(last, dict) else None
    if not isinstance(messages, list) or not isinstance(last, dict) or not isinstance(candidates, list):
        raise Refused('The last message must be the assistant\'s and have "candidates".')
    labelled: dict[str, str] = {}
    for number, candidate in enumerate(candidates):
        place = f"candidates[{number}]"
        label = candidate.get("preferenceLabel") if isinstance(candidate, dict) else None
        if label not in ("preferred", "non-preferred"):
            raise Refused(f'{place}.preferenceLabel must be "preferred" or "non-preferred".')
        if label in labelled:
            raise Refused(f"There are two candidates that are {label}; one of each is wanted.")
        labelled[label] = texts_of(candidate.get("content"), f"{place}.content")
    if len(labelled) != 2:
        raise Refused("There must be a preferred candidate and one that is non-preferred.")
    # The last turn is checked like any other, whichever candidate is in it.
    filled = [*messages[:-1], {"role": last.get("role"), "content": [{"text": labelled["preferred"]}]}]
    whole = _bedrock_conversation({**record, "messages": filled})
    if whole.tools:
        raise Refused("Preferences cannot be trained on with tools.")
    return _pair(whole.messages[:-1], labelled["preferred"], labelled["non-preferred"])


def _pair(messages: list[Message], preferred: str, other: str) -> Pair:
    if preferred == other:
        raise Refused("The two answers are the same, so neither can be preferred.")
    return Pair(messages, said("assistant", preferred), said("assistant", other))


def reinforcement(record: Mapping[str, Any]) -> Prompt:
    """OpenAI's messages up to the user's last, and what the grader wants."""
    messages = record.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refused('"messages" must be a list with at least one message.')
    found: list[Message] = []
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise Refused(f'{place} must be an object with "role" and "content".')
        turn = number - (messages[0].get("role") == "system")
        wanted = "system" if turn < 0 else "assistant" if turn % 2 else "user"
        if message["role"] != wanted:
            raise Refused(f'{place} must have the role "{wanted}", and has {message["role"][:40]!r}.')
        found.append(said(wanted, _claude_text(message.get("content"), f"{place}.content")))
    if found[-1]["role"] != "user":
        raise Refused("The last message must be the user's: the model answers it.")
    return Prompt(found, record)


def _bedrock_conversation(record: Mapping[str, Any]) -> Conversation:
    if record["schemaVersion"] != CONVERSATION:
        raise Refused(f'"schemaVersion" must be "{CONVERSATION}", and is {str(record["schemaVersion"])[:60]!r}.')
    system = record.get("system")
    if system is not None:
        system = texts_of(system, '"system"')
    messages = _turns(system, record.get("messages"), bedrock_messages)
    check_calls(messages)
    return Conversation(messages, tools_of(record["toolConfig"]) if record.get("toolConfig") is not None else ())


def _turns(
    system: str | None, messages: object, messages_of: Callable[[str, object, str], list[Message]]
) -> list[Message]:
    if not isinstance(messages, list) or not messages:
        raise Refused('"messages" must be a list with at least one exchange.')
    found = [said("system", system)] if system else []
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        if not isinstance(message, dict):
            raise Refused(f"{place} must be an object, and is {kind_of(message)}.")
        wanted = "assistant" if number % 2 else "user"
        if message.get("role") != wanted:
            raise Refused(
                f'{place} must have the role "{wanted}", and has {str(message.get("role"))[:40]!r}: '
                "roles alternate and begin with the user."
            )
        found += messages_of(wanted, message.get("content"), f"{place}.content")
    if found[-1]["role"] != "assistant":
        raise Refused("The last message must be the assistant's.")
    return found


def _claude_messages(role: str, content: object, place: str) -> list[Message]:
    return [said(role, _claude_text(content, place))]


def _claude_text(content: object, place: str) -> str:
    if isinstance(content, list) and all(isinstance(b, dict) and b.get("type") == "text" for b in content):
        return texts_of([{"text": block.get("text")} for block in content], place)
    if not isinstance(content, str):
        raise Refused(f"{place} must be a string, and is {kind_of(content)}.")
    return not_empty(content, place)


def _words(record: Mapping[str, Any], key: str) -> str:
    if key not in record:
        raise Refused(f'"{key}" is missing.')
    return not_empty(text_of(record[key], f'"{key}"'), f'"{key}"')
