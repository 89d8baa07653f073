"""The model card: what the exported file answers to held-out examples, beside its predecessors and other sizes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from outcrop.evaluation.statistics import wilson
from outcrop.training import comparison
from outcrop.training.measuring import Measured, measure
from outcrop.training.progress import Progress
from outcrop.training.recipe import Recipe, model_file


def write(folder: Path, recipe: Recipe, progress: Progress, parameters: int) -> Mapping[str, tuple[int, int]]:
    """Measure the GGUF in `folder`; `MODEL_CARD.md` and `evaluation.json` beside it. Right answers and questions by family.

    What the recipe's `compared_with` names is measured in the same run; `comparison.json` has it too.
    """
    file = folder / f"{recipe.name}.gguf"
    models = measure([file, *map(model_file, recipe.compared_with)], recipe.held_out)
    scores = models[0].scores
    results = {family: {"right": right, "asked": asked} for family, (right, asked) in scores.items()}
    _write_json(folder / "evaluation.json", results)
    if len(models) > 1:
        _write_json(folder / "comparison.json", comparison.as_json(models))
    (folder / "MODEL_CARD.md").write_text(card(recipe, progress, parameters, models), "utf-8")
    return scores


def _write_json(path: Path, value: Mapping[str, object]) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n", "utf-8")


def card(recipe: Recipe, progress: Progress, parameters: int, models: Sequence[Measured]) -> str:
    """`models`: the recipe's own first."""
    own = models[0]
    rows = "\n".join(_row(family, right, asked) for family, (right, asked) in own.scores.items())
    trained = f"{progress.tokens:,} tokens in {progress.step:,} steps, {progress.seconds / 60:.0f} minutes"
    if recipe.start is not None:
        trained += f", on from {model_file(recipe.start).stem}"
    return f"""# {recipe.name}

{recipe.description} Trained by Outcrop from nothing but procedurally generated data: no text of any person or
company is in it, and no item of a benchmark; anyone can make it again with `outcrop train`.

| | |
|---|---|
| parameters | {parameters:,} (Llama architecture, {recipe.model.layers} layers of width {recipe.model.hidden_size}) |
| vocabulary | {recipe.model.vocab_size} byte-level BPE tokens, every digit alone |
| context | {recipe.model.context} tokens; the examples it was trained on are shorter than a few hundred |
| trained on | {trained} |
| file | {own.file_bytes / 1e6:.1f} MB, q8_0 |

## What it can do

Greedy answers to examples that were held out of training, asked of the exported file through the engine that serves
it. An answer counts if it is exactly right: the whole call with all its arguments, the whole JSON object, code that
passes its tests when run. The interval is Wilson's, 95 %.

| family | right | of | accuracy | interval |
|---|---|---|---|---|
{rows}

Held out means that no prompt was seen in training; the kinds of task were. `chat` is a closed list of phrases, which
cannot be held out: its figure is what the model remembers.

{_beside(models)}## What it cannot do

It knows nothing of the world and understands no wording far from its generators'. It is there so that everything
works at once, offline, with real tokens: for real work serve a real model.
"""


def _beside(models: Sequence[Measured]) -> str:
    return f"## Tiers and generations\n\n{comparison.section(models)}\n" if len(models) > 1 else ""


def _row(family: str, right: int, asked: int) -> str:
    low, high = wilson(right / asked, asked)
    return f"| {comparison.marked(family)} | {right} | {asked} | {right / asked:.0%} | {low:.0%}-{high:.0%} |"
