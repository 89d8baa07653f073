"""A judge's metric: what is asked, in which words the answer may be, and what each of them is worth."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

UNDECIDED = "cannot decide"
# Begins what is asked for in words where the judge is not held to a schema.
_OBJECT = re.compile(r"\{.*\}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Level:
    """One answer of a scale, what it means, and what it is worth: 0 to 1, a custom metric's number, or its text."""

    label: str
    meaning: str
    value: float | str


@dataclass(frozen=True, slots=True)
class Verdict:
    """`value` is None where the judge could not decide; `problem` says why there is none at all."""

    value: float | str | None
    label: str
    reason: str
    problem: str | None = None


def spread(*answers: tuple[str, str]) -> tuple[Level, ...]:
    """Answers from the worst to the best, at even distances between 0 and 1."""
    return tuple(Level(label, meaning, at / (len(answers) - 1)) for at, (label, meaning) in enumerate(answers))


def schema(levels: Sequence[Level], undecided: bool) -> dict[str, Any]:
    """The reason comes first: an answer that is given before it is only defended by it."""
    labels = [level.label for level in levels] + ([UNDECIDED] if undecided else [])
    return {
        "type": "object",
        "properties": {"reason": {"type": "string"}, "answer": {"type": "string", "enum": labels}},
        "required": ["reason", "answer"],
        "additionalProperties": False,
    }


def instructions(levels: Sequence[Level], undecided: bool) -> str:
    """What a prompt ends with."""
    lines = [f'- "{level.label}": {level.meaning}' for level in levels]
    if undecided:
        lines.append(f'- "{UNDECIDED}": what you were given is not enough to tell')
    return (
        'Answer with one JSON object and nothing else. It has two keys: first "reason", in which you explain your judgement '
        'in one to three sentences, then "answer", which is exactly one of these:\n' + "\n".join(lines)
    )


def read(text: str, levels: Sequence[Level]) -> Verdict:
    """What a judge said, held to a schema or not."""
    found = _OBJECT.search(text)
    try:
        said = orjson.loads(found[0]) if found else None
    except orjson.JSONDecodeError:
        said = None
    if not isinstance(said, Mapping) or not isinstance(said.get("answer"), str | int | float):
        return Verdict(None, "", text.strip(), "The judge's answer is not the JSON object that it was asked for.")
    label, reason = str(said["answer"]).strip(), str(said.get("reason", ""))
    if label.lower() == UNDECIDED:
        return Verdict(None, UNDECIDED, reason)
    for level in levels:
        if level.label.lower() == label.lower():
            return Verdict(level.value, level.label, reason)
    return Verdict(None, label, reason, f"The judge answered {label[:100]!r}, which is not on the scale.")
