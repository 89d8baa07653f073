"""Measured models side by side: tiers and generations, family by family, and whether one is better than another.

`python -m outcrop.training.comparison MODEL...` prints the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from outcrop.evaluation.statistics import Value, compare, wilson
from outcrop.training.generators import CLOSED
from outcrop.training.measuring import TIMED, TIMED_FAMILY, Measured, measure
from outcrop.training.recipe import model_file


def table(models: Sequence[Measured]) -> str:
    """A column for each, in Markdown."""
    rows: list[tuple[str, ...]] = [
        ("", *(model.name for model in models)),
        ("---", *("---:" for _ in models)),
        ("file", *(f"{model.file_bytes / 1e6:.1f} MB" for model in models)),
        ("tokens a second", *("–" if model.speed is None else f"{model.speed:.0f}" for model in models)),
        ("**all families**", *(share(*_total(model)) for model in models)),
    ]
    rows += [(marked(family), *(share(*model.scores[family]) for model in models)) for family in models[0].right]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def note() -> str:
    return (
        f"Accuracy with Wilson's 95 % interval. Tokens a second: {TIMED} greedy answers of the family `{TIMED_FAMILY}`, one at "
        "a time, each from its\nquestion to its end, and the median of them; all models in turns, on one machine, in one run. "
        "They say how the\nmodels compare, and not how fast another machine is."
    )


def marked(family: str) -> str:
    return f"{family} (closed)" if family in CLOSED else family


def share(right: int, asked: int) -> str:
    low, high = wilson(right / asked, asked)
    return f"{right / asked:.0%} ({low:.0%}-{high:.0%})"


def _total(model: Measured) -> tuple[int, int]:
    right, asked = zip(*model.scores.values(), strict=True)
    return sum(right), sum(asked)


def verdict(model: Measured, other: Measured) -> str:
    """How `model` differs from `other` on the same examples, in all and where a family shows it."""
    found = compare(list(_values(other, other.right)), list(_values(model, model.right)))
    assert found is not None, "both were asked the same"
    sentence = (
        f"On the same {found.n:,} examples {model.name} has {100 * found.mean:+.1f} points against {other.name} "
        f"(95 % interval {100 * found.low:+.1f} to {100 * found.high:+.1f}, {_p(found.p)})."
    )
    better, worse = (_shown(model, other, sign) for sign in (1, -1))
    families = [f"{word} in {', '.join(some)}" for word, some in (("better", better), ("worse", worse)) if some]
    return f"{sentence} By family: {'; '.join(families) or 'no difference is shown'} (p < 0.05, McNemar's exact test)."


def _shown(model: Measured, other: Measured, sign: int) -> list[str]:
    differences = {
        family: compare(list(_values(other, [family])), list(_values(model, [family]))) for family in model.right
    }
    return [family for family, one in differences.items() if one is not None and one.p < 0.05 and one.mean * sign > 0]


def _values(model: Measured, families: Iterable[str]) -> Iterable[Value]:
    for family in families:
        for number, right in enumerate(model.right[family]):
            yield Value(f"{family}/{number}", f"{family}/{number}", float(right))


def _p(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def as_json(models: Sequence[Measured]) -> Mapping[str, Any]:
    return {
        model.name: {
            "file_bytes": model.file_bytes,
            "tokens_per_second": model.speed,
            "families": {family: {"right": right, "asked": asked} for family, (right, asked) in model.scores.items()},
        }
        for model in models
    }


def section(models: Sequence[Measured]) -> str:
    """The first model beside the others."""
    verdicts = "\n\n".join(verdict(models[0], other) for other in models[1:])
    return f"{table(models)}\n\n{note()}\n\n{verdicts}\n"


@click.command()
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option(
    "--count", type=click.IntRange(1), default=100, show_default=True, help="Held-out examples of each family."
)
def main(models: tuple[str, ...], count: int) -> None:
    """Print the first MODEL, a GGUF file or the name of a shipped one, beside the others."""
    files = [model_file(name) for name in models]
    if missing := [file for file in files if not file.is_file()]:
        raise click.ClickException(f"{missing[0]} is neither a shipped model nor a file.")
    click.echo(section(measure(files, count)), nl=False)


if __name__ == "__main__":
    main()
