"""HumanEval (Chen et al., 2021): 164 functions to be written, each held to its tests."""

from __future__ import annotations

import re
from pathlib import Path

from outcrop.evaluation import data
from outcrop.evaluation.item import Item, Options, Scored, Source, Suite, asked, shots_of
from outcrop.evaluation.suites import programs

PROGRAM_TOKENS = 1024
_COLUMNS = ("task_id", "prompt", "test", "entry_point")
_INSTRUCTION = (
    "Read the following function signature and docstring, and fully implement the function described. Your response should "
    "only contain the code for this function.\n"
)


def load(folder: Path, options: Options) -> list[Item]:
    """`HumanEval.jsonl.gz` or `HumanEval.jsonl`."""
    shots_of(0, options)
    rows = data.json_lines(data.files(folder, "HumanEval.jsonl*")[0], *_COLUMNS)
    return [
        Item(
            row["task_id"],
            asked(_INSTRUCTION + row["prompt"], PROGRAM_TOKENS),
            {"prompt": row["prompt"], "test": row["test"], "entry_point": row["entry_point"]},
            "all",
            row["task_id"],
        )
        for row in rows
    ]


def score(item: Item, text: str) -> Scored:
    """The whole function between fences, or one that is written without them, or only its body."""
    reference = item.reference
    blocks = programs.fenced(text)
    if blocks:
        code = next((block for block in blocks if _defines(block, reference["entry_point"])), blocks[0])
    else:
        code = text if _defines(text, reference["entry_point"]) else programs.body(text)
    if not _defines(code, reference["entry_point"]):
        code = _indented(code)
    # The prompt is a function by itself, with a docstring for its body; what comes after it wins.
    program = f"{reference['prompt']}\n{code}\n{reference['test']}\ncheck({reference['entry_point']})\n"
    return programs.scored(program, code)


def _defines(code: str, name: str) -> bool:
    return re.search(rf"^(?:async )?def {re.escape(name)}\b", code, re.MULTILINE) is not None


def _indented(body: str) -> str:
    """A body whose first line lost its indentation, as chat templates strip it."""
    lines = body.split("\n")
    first = next((line for line in lines if line.strip()), "")
    if first.startswith((" ", "\t")) or not first:
        return body
    inner = [line for line in lines[1:] if line.strip()]
    if inner and all(line.startswith("    ") for line in inner):
        return "    " + body.lstrip()
    return "\n".join(f"    {line}" for line in lines)


HUMANEVAL = Suite(
    name="humaneval",
    title="HumanEval",
    field="code",
    metrics=("pass",),
    protocol=lambda _: "0-shot, the whole function asked for; pass@k by the unbiased estimator",
    load=load,
    score=score,
    published="Chen et al., Evaluating Large Language Models Trained on Code, 2021; asked as in OpenAI's simple-evals",
    sources=(
        Source(
            "HumanEval.jsonl.gz",
            "https://raw.githubusercontent.com/openai/human-eval/master/data/HumanEval.jsonl.gz",
            "b796127e635a67f93fb35c04f4cb03cf06f38c8072ee7cee8833d7bee06979ef",
        ),
    ),
    runs_programs=True,
)
