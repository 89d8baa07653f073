"""MBPP (Austin et al., 2021): 500 small tasks, three of the others worked out before each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from outcrop.evaluation import data
from outcrop.evaluation.item import EvaluationError, Item, Options, Scored, Source, Suite, asked, shots_of
from outcrop.evaluation.suites import programs

PROGRAM_TOKENS = 1024
_COLUMNS = ("task_id", "text", "code", "test_list")
# Tasks 11 to 510 are the test split; 2, 3 and 4 are the published examples.
TESTED = range(11, 511)
EXAMPLES = (2, 3, 4)


def load(folder: Path, options: Options) -> list[Item]:
    """`mbpp.jsonl` (all 974 tasks)."""
    rows = {int(row["task_id"]): row for row in data.json_lines(data.files(folder, "mbpp.jsonl*")[0], *_COLUMNS)}
    wanted = EXAMPLES[: shots_of(len(EXAMPLES), options)]
    if missing := [number for number in wanted if number not in rows]:
        raise EvaluationError(f"Task {missing[0]} of MBPP, an example, is not in the file.")
    head = "".join(f"{_question(rows[number])}{rows[number]['code']}\n[DONE]\n\n" for number in wanted)
    return [
        Item(
            str(number),
            asked(head + _question(row), PROGRAM_TOKENS, ("[DONE]",)),
            {"setup": row.get("test_setup_code", ""), "tests": row["test_list"]},
            "all",
            str(number),
        )
        for number, row in sorted(rows.items())
        if number in TESTED
    ]


def score(item: Item, text: str) -> Scored:
    answer = text.rpartition("[BEGIN]")[2].partition("[DONE]")[0]
    blocks = programs.fenced(answer)
    code = blocks[0] if blocks else answer
    # What sets tests up may use what the answer defines.
    program = "\n".join([code, item.reference["setup"], *item.reference["tests"], ""])
    return programs.scored(program, code)


def _question(row: dict[str, Any]) -> str:
    tests = "\n".join(row["test_list"])
    return (
        f"You are an expert Python programmer, and here is your task: {row['text']} Your code should pass these tests:\n\n"
        f"{tests}\n[BEGIN]\n"
    )


MBPP = Suite(
    name="mbpp",
    title="MBPP",
    field="code",
    metrics=("pass",),
    protocol=lambda options: (
        f"{shots_of(len(EXAMPLES), options)}-shot, with the tests shown; pass@k by the unbiased estimator"
    ),
    load=load,
    score=score,
    published="Austin et al., Program Synthesis with Large Language Models, 2021",
    shots=len(EXAMPLES),
    sources=(
        Source(
            "mbpp.jsonl",
            "https://raw.githubusercontent.com/google-research/google-research/master/mbpp/mbpp.jsonl",
            "ccf64ceae9c5403bf50a044cb6d505bfd2a2963ee58338ba268fd65beab92a9f",
        ),
    ),
    runs_programs=True,
)
