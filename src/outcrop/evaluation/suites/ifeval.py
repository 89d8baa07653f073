"""IFEval (Zhou et al., 2023): instructions whose following can be checked by a program."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from outcrop.evaluation import data
from outcrop.evaluation.item import EvaluationError, Item, Options, Scored, Source, Suite, asked, shots_of
from outcrop.evaluation.suites.instructions import follows, problem

ANSWER_TOKENS = 1280
_COLUMNS = ("key", "prompt", "instruction_id_list", "kwargs")


def load(folder: Path, options: Options) -> list[Item]:
    """`input_data.jsonl`: key, prompt, instruction_id_list, kwargs."""
    shots_of(0, options)
    items = []
    for row in data.json_lines(data.files(folder, "input_data.jsonl")[0], *_COLUMNS):
        instructions = [
            [name, {key: value for key, value in given.items() if value is not None}]
            for name, given in zip(row["instruction_id_list"], row["kwargs"], strict=True)
        ]
        if wrong := [said for name, given in instructions if (said := problem(name, given))]:
            raise EvaluationError(f"Prompt {row['key']}: {wrong[0]}")
        items.append(Item(str(row["key"]), asked(row["prompt"], ANSWER_TOKENS), instructions, "all", str(row["key"])))
    return items


def score(item: Item, text: str) -> Scored:
    """By prompt (all of its instructions) and by instruction; loose: also without first or last line, or asterisks."""
    strict = [bool(text.strip()) and follows(name, text, given) for name, given in item.reference]
    loose = [
        any(bool(version.strip()) and follows(name, version, given) for version in _versions(text))
        for name, given in item.reference
    ]
    count = float(len(item.reference))
    scores = {
        "prompt_strict": float(all(strict)),
        "instruction_strict": sum(strict) / count,
        "prompt_loose": float(all(loose)),
        "instruction_loose": sum(loose) / count,
    }
    missed = [name for (name, _), kept in zip(item.reference, strict, strict=True) if not kept]
    weights = {"instruction_strict": count, "instruction_loose": count}
    return Scored(scores, text, weights, f"not followed: {', '.join(missed)}" if missed else "")


def _versions(text: str) -> Iterator[str]:
    lines = text.split("\n")
    for version in (text, *("\n".join(some).strip() for some in (lines[1:], lines[:-1], lines[1:-1]))):
        yield version
        yield version.replace("*", "")


IFEVAL = Suite(
    name="ifeval",
    title="IFEval",
    field="instructions",
    metrics=("prompt_strict", "instruction_strict", "prompt_loose", "instruction_loose"),
    protocol=lambda _: "0-shot, checked by program; sentences and words are counted without nltk",
    load=load,
    score=score,
    published="Zhou et al., Instruction-Following Evaluation for Large Language Models, 2023",
    sources=(
        Source(
            "input_data.jsonl",
            "https://raw.githubusercontent.com/google-research/google-research/master/instruction_following_eval/data/"
            "input_data.jsonl",
            "67ffeee0fcb87c317c5b08a2de85557b4a7e96ada6178aa645b4954fe4b53d49",
        ),
    ),
)
