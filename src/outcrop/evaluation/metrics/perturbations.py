"""Prompts made a little worse in the five ways that Bedrock documents. The same prompt and seed give the same."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

# Shares of letters that are changed.
TYPOS, CAPITALS, SPACES_ADDED, SPACES_REMOVED = 0.1, 0.1, 0.05, 0.1

# On an American keyboard.
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_SCALES = ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
# Longer ones are read digit by digit, as codes and telephone numbers are.
_LONGEST_NUMBER = 12
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Perturbed:
    kind: str
    text: str


def perturbed(prompt: str, seed: int = 0) -> list[Perturbed]:
    """One for each way that changes the prompt at all, so five or fewer."""
    made = [Perturbed(kind, way(prompt, _chance(seed, kind, prompt))) for kind, way in WAYS.items()]
    return [one for one in made if one.text != prompt]


def _chance(seed: int, kind: str, prompt: str) -> random.Random:
    # A string's own bytes seed it, not its hash, which differs between processes.
    return random.Random(f"{seed} {kind} {prompt}")  # noqa: S311 - nothing secret, and it must come out the same again


def lower(prompt: str, _: random.Random) -> str:
    return prompt.lower()


def typos(prompt: str, chance: random.Random) -> str:
    """Some letters become one beside them on the keyboard."""
    return "".join(_beside(letter, chance) if chance.random() < TYPOS else letter for letter in prompt)


def _beside(letter: str, chance: random.Random) -> str:
    near = _NEIGHBOURS.get(letter.lower())
    if near is None:
        return letter
    chosen = chance.choice(near)
    return chosen.upper() if letter.isupper() else chosen


def _neighbours() -> Mapping[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for at, row in enumerate(_ROWS):
        for place, letter in enumerate(row):
            # A row stands half a key to the right of the one above it.
            above = [(at - 1, place), (at - 1, place + 1)]
            below = [(at + 1, place - 1), (at + 1, place)]
            near = [(at, place - 1), (at, place + 1), *above, *below]
            found[letter] = [_ROWS[y][x] for y, x in near if 0 <= y < len(_ROWS) and 0 <= x < len(_ROWS[y])]
    return {letter: tuple(near) for letter, near in found.items()}


_NEIGHBOURS = _neighbours()


def digits(prompt: str, _: random.Random) -> str:
    """Numbers become words."""
    return _NUMBER.sub(lambda found: in_words(found[0]), prompt)


def in_words(number: str) -> str:
    """`42` → forty-two. One that begins with a zero or is very long is read digit by digit."""
    if len(number) > _LONGEST_NUMBER or (number[0] == "0" and len(number) > 1):
        return " ".join(_UNITS[int(digit)] for digit in number)
    return _spelled(int(number))


def _spelled(value: int) -> str:
    if value < len(_UNITS):
        return _UNITS[value]
    if value < 100:
        tens, units = divmod(value, 10)
        return _TENS[tens] + (f"-{_UNITS[units]}" if units else "")
    scale, name = next((scale, name) for scale, name in _SCALES if value >= scale)
    many, rest = divmod(value, scale)
    return f"{_spelled(many)} {name}" + (f" {_spelled(rest)}" if rest else "")


def capitals(prompt: str, chance: random.Random) -> str:
    return "".join(letter.upper() if chance.random() < CAPITALS else letter for letter in prompt)


def spaces(prompt: str, chance: random.Random) -> str:
    """Some spaces go, some come."""
    made = []
    for letter in prompt:
        if letter.isspace():
            made.append("" if chance.random() < SPACES_REMOVED else letter)
        else:
            made.append(f"{letter} " if chance.random() < SPACES_ADDED else letter)
    return "".join(made)


WAYS: Mapping[str, Callable[[str, random.Random], str]] = {
    "lower-case": lower,
    "keyboard-typos": typos,
    "digits-to-words": digits,
    "random-upper-case": capitals,
    "whitespace": spaces,
}
