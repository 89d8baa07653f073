"""Multiple choice: how the choices are written, and how a letter is found in an answer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from outcrop.evaluation.item import Item, Scored

LETTERS = "ABCDEFGHIJ"

# The last line that simple-evals asks for. Bold type, which chat models like, is taken away first.
_ANSWER_LINE = re.compile(r"(?i)answer[ \t]*:[ \t]*\$?([A-D])\$?")
# A letter and nothing else, or one with its choice behind it.
_FIRST = re.compile(r"\s*\(?([A-D])(?:[).:]|\s*$|\s*\n)")
_SAID = re.compile(r"(?i:answer(?: is|:))\s*\(?([A-D])\b")
# MMLU-Pro's three ways, in the order in which they are tried.
_ANSWER_IS = re.compile(r"answer is \(?([A-J])\)?")
_ANSWER = re.compile(r"[aA]nswer:\s*([A-J])")
_LONE = re.compile(r"\b[A-J]\b")


def written(question: str, choices: Sequence[str]) -> str:
    """The question and a line for each choice, as MMLU has them."""
    lines = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False)]
    return "\n".join([question, *lines])


def first_letter(text: str) -> str | None:
    """Of an answer that is to be a letter and nothing else: the one that it begins with, else the one that it names."""
    plain = text.replace("*", "")
    found = _FIRST.match(plain) or _SAID.search(plain)
    return found[1] if found is not None else None


def answer_line(text: str) -> str | None:
    """The first "Answer: X", as simple-evals looks for it."""
    found = _ANSWER_LINE.search(text.replace("*", ""))
    return found[1].upper() if found is not None else None


def mmlu_pro_letter(text: str) -> str | None:
    """The first "answer is (X)"; else the last "Answer: X" of the first line that has one; else the last letter that stands
    alone.
    """
    if (found := _ANSWER_IS.search(text)) is not None:
        return found[1]
    # White space after the colon may be a line's end, so lines are told apart by where the word stands.
    answers = list(_ANSWER.finditer(text))
    if answers:
        line_end = text.find("\n", answers[0].start())
        return [one[1] for one in answers if line_end < 0 or one.start() < line_end][-1]
    lone = _LONE.findall(text)
    return lone[-1] if lone else None


def scored(item: Item, letter: str | None) -> Scored:
    return Scored({"accuracy": float(letter == item.reference)}, letter)
