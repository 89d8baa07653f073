"""`outcrop evaluate right-answers`: a model that knows everything, as a script for the engine `scripted`."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("right-answers")
@click.argument("file", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--suite", "suites", default="house", show_default=True, help="Suites that hold their answers.")
def right_answers(file: Path, suites: str) -> None:
    """Write a script with the right answer to each item of a suite to FILE.

    A model of the settings with `engine = "scripted"` and `script = "FILE"` then answers so: what it scores says whether
    the evaluation itself is right.
    """
    from outcrop.evaluation.item import EvaluationError, Options
    from outcrop.evaluation.suites import chosen

    rules = []
    try:
        for suite in chosen([name.strip() for name in suites.split(",")]):
            if suite.answer is None:
                raise EvaluationError(f"The items of {suite.name} do not hold answers as a model would give them.")
            for item in suite.load(file.parent, Options()):
                said = [turn.text for turn in item.prompt.turns]
                rules.append({"messages": said, "text": suite.answer(item)})
    except EvaluationError as problem:
        raise click.ClickException(str(problem)) from None
    file.write_text(json.dumps({"rules": rules}, ensure_ascii=False, indent=1) + "\n", "utf-8")
    click.echo(f"{len(rules)} answers are in {file}")
