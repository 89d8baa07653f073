"""The public benchmarks, read where they lie, and made-up rows in the layouts of those that are not there."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import pytest

from outcrop.evaluation.item import Item, Options
from outcrop.evaluation.suites import SUITES

SHARED = Path(os.environ.get("OUTCROP_SHARED") or Path(__file__).resolve().parents[2].parent / "shared")
BENCHMARKS = SHARED / "data" / "benchmarks"
ROW = {"category": "physics", "options": ["one", "two", "three", "N/A"]}


def items_of(suite: str, options: Options | None = None) -> list[Item]:
    """Of the public data; skips where it is not."""
    if not (BENCHMARKS / suite).is_dir():
        pytest.skip(f"{suite} is not in {BENCHMARKS}; set OUTCROP_SHARED to the folder that holds it.")
    return SUITES[suite].load(BENCHMARKS / suite, options or Options())


def write_gpqa(folder: Path, part: str = "diamond", count: int = 40) -> Path:
    """Rows with the published columns, and some more, as the published files have them."""
    columns = ["Question", "Correct Answer", "Incorrect Answer 1", "Incorrect Answer 2", "Incorrect Answer 3"]
    path = folder / f"gpqa_{part}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["Record ID", *columns, "High-level domain"])
        for n in range(count):
            choices = [f"{n} grams\n", f"{n + 1} grams, or more", f' "{n + 2}" grams', f"{n + 3} grams"]
            rows.writerow(
                [f"rec{n}", f"How heavy is stone {n}?\nIn grams.", *choices, "Physics" if n % 2 else "Chemistry"]
            )
    return path


def write_mmlu_pro(folder: Path, count: int = 40) -> None:
    worked = "A: Let's think step by step. Two is next. The answer is (B)."
    examples = [ROW | {"question": f"What follows {n}?", "answer": "B", "cot_content": worked} for n in range(5)]
    rows = [
        {"question_id": n, "question": f"What comes after {n}?", "category": "physics", "answer": "ABCDEFGHIJ"[n % 10],
         "answer_index": n % 10, "options": [f"option {k}" for k in range(10)], "cot_content": ""}
        for n in range(count)
    ]  # fmt: skip
    write_lines(folder / "validation.jsonl", examples)
    write_lines(folder / "test.jsonl", rows)


def write_mbpp(folder: Path, count: int = 4) -> None:
    """Tasks 2 to 4 are the examples, and those from 11 are asked."""
    rows = [
        {"task_id": n, "text": f"Write a function to add {n}.", "code": f"def add_{n}(x):\r\n  return x + {n}",
         "test_setup_code": "", "test_list": [f"assert add_{n}({k}) == {n + k}" for k in range(3)]}
        for n in (1, 2, 3, 4, *range(11, 11 + count), 600)
    ]  # fmt: skip
    write_lines(folder / "mbpp.jsonl", rows)


def write_ifeval(folder: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"key": 1, "prompt": "Say it without commas.", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
        {"key": 2, "prompt": "In capitals, please, and end so.",
         "instruction_id_list": ["change_case:english_capital", "startend:end_checker"],
         "kwargs": [{"num_words": None}, {"end_phrase": "THAT IS ALL."}]},
    ]  # fmt: skip
    write_lines(folder / "input_data.jsonl", rows)


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
