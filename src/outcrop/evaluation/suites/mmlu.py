"""MMLU (Hendrycks et al., 2021): 57 subjects, four choices, five examples of the subject before the question."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from outcrop.evaluation import data
from outcrop.evaluation.item import EvaluationError, Item, Options, Scored, Source, Suite, asked, shots_of
from outcrop.evaluation.suites.choices import LETTERS, first_letter, scored, written

SHOTS = 5
# A letter, or a short sentence around it.
ANSWER_TOKENS = 32


def load(folder: Path, options: Options) -> list[Item]:
    """`SUBJECT_test.csv` and, for the examples, `SUBJECT_dev.csv`: the published ones (no header, letters) or a mirror's."""
    items = []
    shots = shots_of(SHOTS, options)
    for path in data.files(folder, "*_test.csv"):
        subject = path.name.removesuffix("_test.csv")
        if data.chosen(subject, options):
            items += _subject(path, subject, shots)
    if not items:
        raise EvaluationError(f"{folder} holds no subject of MMLU that is called {' or '.join(options.groups)}.")
    return items


def _subject(path: Path, subject: str, shots: int) -> list[Item]:
    # The published script leaves two spaces before a subject, and so do the prompts that it made.
    head = f"The following are multiple choice questions (with answers) about  {subject.replace('_', ' ')}.\n\n"
    examples = "".join(f"{_question(row)} {row[5]}\n\n" for row in _examples(path, subject, shots))
    return [
        Item(name, asked(head + examples + _question(row), ANSWER_TOKENS), row[5], subject, name)
        for name, row in ((f"{subject}/{number}", row) for number, row in enumerate(_rows(path)))
    ]


def _examples(path: Path, subject: str, shots: int) -> list[list[str]]:
    if shots == 0:
        return []
    near = path.with_name(f"{subject}_dev.csv")
    dev = near if near.exists() else data.files(path.parent.parent, near.name)[0]
    rows = _rows(dev)[:shots]
    if len(rows) < shots:
        raise EvaluationError(f"{dev} has {len(rows)} examples, and {shots} are wanted.")
    return rows


def _rows(path: Path) -> list[list[str]]:
    """Question, four choices and the letter of the right one."""
    rows = [row for row in data.csv_rows(path) if row[0] != "question"]
    if wrong := [row for row in rows if len(row) < 6]:
        raise EvaluationError(
            f"{path} has a row of {len(wrong[0])} columns, and not of a question, four choices and a letter."
        )
    return [[*row[:5], _letter(row[5])] for row in rows]


def _letter(answer: str) -> str:
    return LETTERS[int(answer)] if answer.isdigit() else answer


def _question(row: Sequence[str]) -> str:
    return f"{written(row[0], row[1:5])}\nAnswer:"


def _score(item: Item, text: str) -> Scored:
    return scored(item, first_letter(text))


MMLU = Suite(
    name="mmlu",
    title="MMLU",
    field="knowledge",
    metrics=("accuracy",),
    protocol=lambda options: (
        f"{shots_of(SHOTS, options)}-shot, no chain of thought; the letter that is generated, "
        "where the published script takes the likeliest of four"
    ),
    load=load,
    score=_score,
    published="Hendrycks et al., Measuring Massive Multitask Language Understanding, 2021",
    sources=(
        Source(
            "data.tar",
            "https://people.eecs.berkeley.edu/~hendrycks/data.tar",
            "bec563ba4bac1d6aaf04141cd7d1605d7a5ca833e38f994051e818489592989b",
            ("_test.csv", "_dev.csv"),
        ),
    ),
    shots=SHOTS,
    grouped="subjects",
    chance=0.25,
)
