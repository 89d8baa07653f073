"""What a suite is made of: items with their prompts, and what an answer scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec

# Of a suite: what its score says something about.
Field = Literal["knowledge", "reasoning", "code", "math", "instructions"]


class EvaluationError(Exception):
    """A sentence for whoever asked for the evaluation."""


class Turn(msgspec.Struct, frozen=True):
    role: Literal["system", "user", "assistant"]
    text: str


class Prompt(msgspec.Struct, frozen=True):
    """What a model is asked. `max_tokens` is room for an answer that reasons, where the protocol lets it."""

    turns: tuple[Turn, ...]
    max_tokens: int
    stop: tuple[str, ...] = ()


def asked(text: str, max_tokens: int, stop: tuple[str, ...] = ()) -> Prompt:
    return Prompt((Turn("user", text),), max_tokens, stop)


class Item(msgspec.Struct, frozen=True):
    """`reference` is what its suite scores by. `group` is a subject or language that is reported by itself; items of one
    `cluster` are not independent of each other (one problem in eleven languages).
    """

    id: str
    prompt: Prompt
    reference: Any
    group: str
    cluster: str


@dataclass(frozen=True, slots=True)
class Scored:
    """`scores` by metric, 0 to 1. `extracted` is the answer that was found in the text, None if none was.

    `weights` are of metrics that count an item more than once (one for each of its instructions).
    """

    scores: Mapping[str, float]
    extracted: str | None
    weights: Mapping[str, float] = field(default_factory=dict)
    detail: str = ""


class Options(msgspec.Struct, frozen=True):
    """How a suite is to be asked. `shots` None is the published number of examples; `groups`: only these subjects or
    languages; `seed` is for what a suite leaves to chance.
    """

    shots: int | None = None
    groups: tuple[str, ...] = ()
    seed: int = 0


class Source(msgspec.Struct, frozen=True):
    """A public file: its name below the suite's folder, where it can be fetched, and what it must hash to.

    Of a tar archive, the files that end with one of `members` are kept, and the archive is not.
    """

    name: str
    url: str
    sha256: str
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Suite:
    """A benchmark. `protocol` says in words how it is asked and read, for the result; `metrics`, the first one first.

    `load` raises EvaluationError where the folder has not what it needs. `shots` is the published number of examples, and
    the most there are; `grouped` says what the groups are, where items have some. `runs_programs`: scoring does. `chance`
    is what guessing scores, where that is known. `listed`: it is meant by the name of its field. `generated`: it needs no
    data. `answer` gives a right one, of a suite whose items hold them.
    """

    name: str
    title: str
    field: Field
    metrics: tuple[str, ...]
    protocol: Callable[[Options], str]
    load: Callable[[Path, Options], list[Item]]
    score: Callable[[Item, str], Scored]
    published: str
    sources: Sequence[Source] = ()
    shots: int = 0
    grouped: Literal["languages", "subjects"] | None = None
    runs_programs: bool = False
    chance: float | None = None
    listed: bool = True
    generated: bool = False
    answer: Callable[[Item], str] | None = None


def shots_of(most: int, options: Options) -> int:
    """How many examples a suite that has `most` is to show. EvaluationError if it has not so many."""
    if options.shots is None:
        return most
    if options.shots > most:
        raise EvaluationError(f"{options.shots} examples are wanted, and the published protocol has {most or 'none'}.")
    return options.shots
