"""Outcrop's own tasks: the generated examples that are held out of the house models' training, and need no data folder."""

from __future__ import annotations

from pathlib import Path

from outcrop.evaluation.data import chosen
from outcrop.evaluation.item import EvaluationError, Item, Options, Prompt, Scored, Suite, Turn, shots_of
from outcrop.training.generators import CLOSED, FAMILIES, Example, held_out_examples
from outcrop.training.generators.example import is_right

# As many as there are, where a family has fewer.
EACH = 100
ANSWER_TOKENS = 200
# Prompts here offer no tools, and what is in a closed family cannot be held out.
ASKED = tuple(family for family in FAMILIES if family not in {"tools", "tool-results", *CLOSED})


def load(folder: Path, options: Options) -> list[Item]:
    """The same each time, and the model cards'. Nothing is read from the folder."""
    shots_of(0, options)
    if unknown := [family for family in options.groups if family not in ASKED]:
        raise EvaluationError(f"The families are {', '.join(ASKED)}, and not {unknown[0]}.")
    return [
        _item(example, number)
        for family in ASKED
        if chosen(family, options)
        for number, example in enumerate(held_out_examples(family, EACH))
    ]


def _item(example: Example, number: int) -> Item:
    *asked, answer = example.messages
    turns = tuple(Turn(message["role"], message["content"]) for message in asked)
    name = f"{example.family}/{number}"
    reference = {"answer": answer["content"], "check": example.check, "expected": example.expected}
    return Item(name, Prompt(turns, ANSWER_TOKENS), reference, example.family, name)


def score(item: Item, text: str) -> Scored:
    """Wholly right or not: the text, an equal JSON value, the number behind the working, code that passes its test."""
    example = Example(item.group, [], item.reference["expected"], item.reference["check"])
    return Scored({"exact": float(is_right(example, {"content": text}))}, text.strip() or None)


def answer(item: Item) -> str:
    return str(item.reference["answer"])


HOUSE = Suite(
    name="house",
    title="House",
    field="instructions",
    metrics=("exact",),
    protocol=lambda _: "0-shot, one to eight turns; the whole answer must be right, code is run",
    load=load,
    score=score,
    published="Outcrop's own generated tasks; the house models were trained on other examples of the same families",
    grouped="subjects",
    runs_programs=True,
    listed=False,
    generated=True,
    answer=answer,
)
