"""MMLU-Pro (Wang et al., 2024): up to ten choices, five worked examples of the category, thinking aloud."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from outcrop.evaluation import data
from outcrop.evaluation.item import EvaluationError, Item, Options, Scored, Suite, asked, shots_of
from outcrop.evaluation.suites.choices import LETTERS, mmlu_pro_letter, scored

SHOTS = 5
THOUGHT_TOKENS = 2048
_COLUMNS = ("question", "options", "category")
_HEAD = (
    "The following are multiple choice questions (with answers) about {}. Think step by step and then finish your answer "
    'with "the answer is (X)" where X is the correct letter choice.\n\n\n\n'
)


def load(folder: Path, options: Options) -> list[Item]:
    """`test.jsonl` and, for the examples, `validation.jsonl`: the data set's rows as JSON lines."""
    shots = shots_of(SHOTS, options)
    worked: dict[str, list[str]] = defaultdict(list)
    if shots:
        for row in data.json_lines(data.files(folder, "validation.jsonl")[0], *_COLUMNS, "cot_content"):
            worked[row["category"]].append(_worked(row))
    items = []
    for number, row in enumerate(data.json_lines(data.files(folder, "test.jsonl")[0], *_COLUMNS, "answer")):
        category = row["category"]
        if not data.chosen(category, options):
            continue
        if len(worked[category]) < shots:
            raise EvaluationError(f"There are {len(worked[category])} examples of {category}, and {shots} are wanted.")
        name = str(row.get("question_id", number))
        text = (
            _HEAD.format(category)
            + "".join(worked[category][:shots])
            + _question(row)
            + "Answer: Let's think step by step."
        )
        items.append(Item(name, asked(text, THOUGHT_TOKENS, ("Question:",)), row["answer"], category, name))
    return items


def _question(row: dict[str, Any]) -> str:
    options = [option for option in row["options"] if option != "N/A"]
    lines = "".join(f"{letter}. {option}\n" for letter, option in zip(LETTERS, options, strict=False))
    return f"Question:\n{row['question']}\nOptions:\n{lines}"


def _worked(row: dict[str, Any]) -> str:
    thought = str(row["cot_content"]).replace("A: Let's think", "Answer: Let's think")
    return f"{_question(row)}{thought}\n\n"


def _score(item: Item, text: str) -> Scored:
    return scored(item, mmlu_pro_letter(text))


MMLU_PRO = Suite(
    name="mmlu-pro",
    title="MMLU-Pro",
    field="reasoning",
    metrics=("accuracy",),
    protocol=lambda options: (
        f"{shots_of(SHOTS, options)}-shot chain of thought; an answer without a letter is wrong, where the published script guesses"
    ),
    load=load,
    score=_score,
    shots=SHOTS,
    grouped="subjects",
    published="Wang et al., MMLU-Pro, 2024",
)
