"""What a prompt's predicted difficulty is worth: against the levels, the numbers of steps and the languages of public benchmarks.

    python -m benchmarks.routing [DATA]

DATA holds `gsm8k`, `mmlu`, `mgsm` and `humaneval`; default is ../shared/data/benchmarks. Nothing is fitted to them: the
weights were chosen before, and this only says how well the difficulty orders what is known to differ.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from outcrop.models.difficulty import Outline, difficulty

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "benchmarks"
LEVELS = {
    "mathematics": ("elementary_mathematics", "high_school_mathematics", "college_mathematics"),
    "computer science": ("high_school_computer_science", "college_computer_science"),
    "physics": ("conceptual_physics", "high_school_physics", "college_physics"),
    "chemistry": ("high_school_chemistry", "college_chemistry"),
    "biology": ("high_school_biology", "college_biology"),
}


def of(text: str) -> float:
    return difficulty(Outline(text=text, characters=len(text)))


def mmlu(data: Path, subject: str) -> list[float]:
    with (data / "mmlu" / "data" / "mmlu" / "test" / f"{subject}_test.csv").open(newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [
        of("\n".join([row[0], *(f"{letter}. {choice}" for letter, choice in zip("ABCD", row[1:5], strict=True))]))
        for row in rows
    ]


def gsm8k(data: Path) -> list[tuple[float, int]]:
    """Difficulty and number of calculations in the given solution."""
    lines = (data / "gsm8k" / "grade_school_math" / "data" / "test.jsonl").read_text("utf-8").splitlines()
    items = [json.loads(line) for line in lines]
    return [(of(item["question"]), item["answer"].count("<<")) for item in items]


def mgsm(data: Path, language: str) -> list[float]:
    lines = (data / "mgsm" / f"mgsm_{language}.tsv").read_text("utf-8").splitlines()
    return [of(line.split("\t")[0]) for line in lines]


def humaneval(data: Path) -> list[float]:
    with gzip.open(data / "humaneval" / "data" / "HumanEval.jsonl.gz", "rt") as file:
        return [of("Complete this function.\n\n" + json.loads(line)["prompt"]) for line in file]


def chance_above(higher: Sequence[float], lower: Sequence[float]) -> float:
    """That an item of the first is ranked above one of the second; 0.5 is no better than a coin."""
    return mean((a > b) + 0.5 * (a == b) for a in higher for b in lower)


def rank_correlation(pairs: Sequence[tuple[float, float]]) -> float:
    """Spearman's."""
    one, two = (_ranks(values) for values in zip(*pairs, strict=True))
    m1, m2 = mean(one), mean(two)
    top = sum((a - m1) * (b - m2) for a, b in zip(one, two, strict=True))
    return top / (sum((a - m1) ** 2 for a in one) * sum((b - m2) ** 2 for b in two)) ** 0.5


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    at = 0
    while at < len(order):
        end = at
        while end < len(order) and values[order[end]] == values[order[at]]:
            end += 1
        for place in order[at:end]:
            ranks[place] = (at + end - 1) / 2
        at = end
    return ranks


def microseconds(text: str) -> float:
    outline = Outline(text=text, characters=len(text))
    runs = []
    for _ in range(200):
        begun = time.perf_counter()
        difficulty(outline)
        runs.append(time.perf_counter() - begun)
    return sorted(runs)[100] * 1e6


def main(data: Path) -> None:
    problems = gsm8k(data)
    print(
        f"gsm8k: mean {mean(d for d, _ in problems):.2f}, rank correlation with steps {rank_correlation(problems):.2f}"
    )
    print(f"humaneval: mean {mean(humaneval(data)):.2f}")
    languages = sorted(path.stem.removeprefix("mgsm_") for path in (data / "mgsm").glob("*.tsv"))
    print("mgsm:", ", ".join(f"{language} {mean(mgsm(data, language)):.2f}" for language in languages))
    for name, subjects in LEVELS.items():
        levels = [mmlu(data, subject) for subject in subjects]
        means = ", ".join(f"{subject} {mean(level):.2f}" for subject, level in zip(subjects, levels, strict=True))
        above = ", ".join(f"{chance_above(b, a):.2f}" for a, b in itertools.pairwise(levels))
        print(f"mmlu {name}: {means}; chance that the higher level ranks higher {above}")
    for name, text in (("short", "What is the capital of France?"), ("2,000 characters", "Why is 12 < 13? " * 125)):
        print(f"time for a {name} prompt: {microseconds(text):.0f} µs")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA)
