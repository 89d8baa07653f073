"""Procedurally generated conversations: the only data the house models ever see.

A family is a function from a seeded `random.Random` to an `Example`. Whether an example is held out is decided by the
hash of its prompt, so training and measuring can never share one, whatever the seed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from random import Random

from outcrop.training.generators import (
    arithmetic,
    chat,
    code,
    copying,
    dates,
    extraction,
    instructions,
    lists,
    ordering,
    recall,
    strings,
    tools,
    units,
)
from outcrop.training.generators.example import Example, Message

Family = Callable[[Random], Example]

# family -> (generator, share of the training stream)
FAMILIES: dict[str, tuple[Family, float]] = {
    "tools": (tools.call, 18),
    "tool-results": (tools.result, 6),
    "extraction": (extraction.extract, 14),
    "copying": (copying.repeat, 8),
    "arithmetic": (arithmetic.story, 10),
    "code": (code.function, 8),
    "dates": (dates.question, 5),
    "units": (units.question, 4),
    "strings": (strings.question, 5),
    "ordering": (ordering.question, 5),
    "instructions": (instructions.follow, 6),
    "recall": (recall.remember, 7),
    "lists": (lists.question, 6),
    "chat": (chat.talk, 7),
}

HELD_OUT_PERCENT = 3
# Phrases of fixed lists, greetings say, cannot be held out: there is nothing new to ask.
CLOSED = {"chat"}


def prompt_key(example: Example) -> str:
    shown = {"messages": example.messages[:-1], "tools": example.tools}
    return json.dumps(shown, sort_keys=True, ensure_ascii=False)


def is_held_out(example: Example) -> bool:
    digest = hashlib.sha256(prompt_key(example).encode()).digest()
    return example.family not in CLOSED and digest[0] * 100 < HELD_OUT_PERCENT * 256


def training_example(random: Random, shares: Mapping[str, float] | None = None) -> Example:
    """One example for training: never held out, now and then several exchanges joined into one conversation.

    `shares` are of families that are not to be drawn as often as they usually are.
    """
    names = list(FAMILIES)
    weights = [(shares or {}).get(name, share) for name, (_, share) in FAMILIES.items()]
    while True:
        example = FAMILIES[random.choices(names, weights)[0]][0](random)
        if is_held_out(example):
            continue
        if random.random() < 0.12 and _joinable(example):
            other = FAMILIES[random.choices(names, weights)[0]][0](random)
            if _joinable(other) and not is_held_out(other):
                return Example(example.family, [*other.messages, *example.messages], example.expected, example.check)
        return example


def _joinable(example: Example) -> bool:
    return not example.tools and example.messages[0]["role"] == "user" and len(example.messages) <= 4


def held_out_examples(family: str, count: int, seed: int = 20260101) -> list[Example]:
    """`count` different held-out examples of a family (for a closed family: different ones)."""
    random = Random(f"{seed}/{family}")
    found: dict[str, Example] = {}
    for _ in range(count * 2000):
        example = FAMILIES[family][0](random)
        if is_held_out(example) or family in CLOSED:
            found.setdefault(prompt_key(example), example)
        if len(found) == count:
            break
    return list(found.values())


__all__ = ["FAMILIES", "Example", "Message", "held_out_examples", "is_held_out", "training_example"]
