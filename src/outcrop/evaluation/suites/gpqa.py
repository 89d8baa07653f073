"""GPQA (Rein et al., 2023): graduate-level questions, from the reader's own copy. Choices are shuffled under the seed."""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path

from outcrop.evaluation import data
from outcrop.evaluation.item import EvaluationError, Item, Options, Scored, Suite, asked, shots_of
from outcrop.evaluation.suites.choices import LETTERS, answer_line, scored

THOUGHT_TOKENS = 4096
_CHOICES = ("Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3")
_PROMPT = (
    "Answer the following multiple choice question. The last line of your response should be of the following format: "
    "'Answer: $LETTER' (without quotes) where LETTER is one of ABCD. Think step by step before answering.\n\n{}\n\n{}"
)


def load(part: str, folder: Path, options: Options) -> list[Item]:
    """`gpqa_diamond.csv`, `gpqa_main.csv` or `gpqa_extended.csv`, in the published columns."""
    shots_of(0, options)
    found = sorted(folder.rglob(f"gpqa_{part}.csv"))
    if not found:
        raise EvaluationError(
            f"{folder} holds no gpqa_{part}.csv. GPQA may not be passed on: get your own copy from "
            "https://github.com/idavidrein/gpqa, and put it there or name its folder with --data."
        )
    header, *rows = data.csv_rows(found[0]) or [[]]
    if missing := [name for name in ("Question", *_CHOICES) if name not in header]:
        raise EvaluationError(f"{found[0]} has no column {missing[0]}.")
    items = [_item(number, dict(zip(header, row, strict=False)), options.seed) for number, row in enumerate(rows)]
    return [item for item in items if data.chosen(item.group, options)]


def _item(number: int, row: dict[str, str], seed: int) -> Item:
    name = row.get("Record ID") or str(number)
    choices = [row[column].strip() for column in _CHOICES]
    order = list(range(4))
    random.Random(f"{seed} {name}").shuffle(order)  # noqa: S311 - which letter is right is no secret
    lines = "\n".join(f"{letter}) {choices[place]}" for letter, place in zip(LETTERS, order, strict=False))
    prompt = asked(_PROMPT.format(row["Question"].strip(), lines), THOUGHT_TOKENS)
    return Item(name, prompt, LETTERS[order.index(0)], row.get("High-level domain") or "all", name)


def _score(item: Item, text: str) -> Scored:
    return scored(item, answer_line(text))


def _suite(part: str) -> Suite:
    return Suite(
        name=f"gpqa-{part}",
        title=f"GPQA {part}",
        field="reasoning",
        metrics=("accuracy",),
        protocol=lambda options: f'0-shot chain of thought, "Answer: X"; choices shuffled under seed {options.seed}',
        load=partial(load, part),
        score=_score,
        published="Rein et al., GPQA, 2023; asked as in OpenAI's simple-evals",
        grouped="subjects",
        chance=0.25,
        # The diamonds are among the others.
        listed=part == "diamond",
    )


GPQA = tuple(map(_suite, ("diamond", "main", "extended")))
