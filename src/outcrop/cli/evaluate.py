"""`outcrop evaluate MODEL...` and `outcrop evaluate compare FOLDER...`."""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from outcrop.cli.hand_in import hand_in
from outcrop.cli.right_answers import right_answers

if TYPE_CHECKING:
    from outcrop.evaluation.item import Item, Options, Suite
    from outcrop.evaluation.report.tables import Table
    from outcrop.evaluation.results import Results
    from outcrop.evaluation.run import Plan
    from outcrop.settings import ModelSpec, Settings


class _RunIsMeant(click.Group):
    """Where no command is named, it is `run`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        named = not args or args[0] in self.commands or args[0] in ctx.help_option_names
        return super().parse_args(ctx, args if named else ["run", *args])


@click.group(cls=_RunIsMeant)
def evaluate() -> None:
    """Ask models the questions of public benchmarks, and say how sure the difference between them is.

    `outcrop evaluate MODEL...` is `outcrop evaluate run MODEL...`.
    """


evaluate.add_command(hand_in)
evaluate.add_command(right_answers)


@evaluate.command()
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@click.option("--suite", "suites", required=True, help="Suites or fields, with commas: gsm8k,mmlu or code,math.")
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Where the benchmarks are. Default: benchmarks in the data folder, fetched once.",
)
@click.option("--limit", type=click.IntRange(1), help="No more than so many items of each suite, drawn under the seed.")
@click.option("--samples", type=click.IntRange(1), default=1, show_default=True, help="Answers to each item.")
@click.option("--shots", type=click.IntRange(0), help="Examples before each question. Default: as published.")
@click.option("--temperature", type=click.FloatRange(0), default=0.0, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of samples and choices.")
@click.option("--max-tokens", type=click.IntRange(1), help="Of each answer. Default: what the suite's protocol gives.")
@click.option("--concurrency", type=click.IntRange(1), help="Questions at once. Default: what keeps the engine busy.")
@click.option("--languages", help="Only these of MGSM's, with commas: en,de.")
@click.option("--subjects", help="Only these of MMLU's, MMLU-Pro's, GPQA's or House's, with commas.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for the results.")
@click.option("--yes", is_flag=True, help="Fetch benchmarks and replace earlier results without being asked.")
def run(
    models: tuple[str, ...],
    suites: str,
    data: Path | None,
    limit: int | None,
    samples: int,
    shots: int | None,
    temperature: float,
    seed: int,
    max_tokens: int | None,
    concurrency: int | None,
    languages: str | None,
    subjects: str | None,
    out: Path | None,
    yes: bool,
) -> None:
    """Ask each MODEL each suite, and write scores, answers and costs to a folder.

    MODEL is an id of the settings, a GGUF file or model folder, or http://HOST/v1#NAME. What was answered before is not
    asked again, so a run that was stopped goes on.
    """
    from outcrop import settings as settings_module
    from outcrop.evaluation.asking import Parameters
    from outcrop.evaluation.item import EvaluationError
    from outcrop.evaluation.models import specs_of
    from outcrop.evaluation.run import Plan
    from outcrop.evaluation.suites import chosen

    folder = out or Path(f"evaluation-{datetime.now().astimezone():%Y%m%d-%H%M%S}")
    try:
        settings = settings_module.load()
        specs = specs_of(models, settings)
        wanted = chosen(_listed(suites))
        _check_groups(wanted, languages, subjects)
        _check_folder(folder, yes)
        parameters = Parameters(temperature=temperature, seed=seed, max_tokens=max_tokens)
        work = []
        for suite in wanted:
            options = _options(suite, shots, seed, languages, subjects)
            items = _items(suite, options, data, settings, yes)
            work.append((suite, items, Plan(options, parameters, samples, limit)))
        results = asyncio.run(_evaluated(specs, work, settings, concurrency))
    except (EvaluationError, settings_module.SettingsError) as problem:
        raise click.ClickException(str(problem)) from None
    except KeyboardInterrupt:
        click.echo("\nStopped. The same command goes on where this one was: no answer is asked for twice.", err=True)
        sys.exit(130)
    _write(results, folder)
    _show(results)
    click.echo(f"All of it is in {folder}")
    _complain(results)


@evaluate.command()
@click.argument(
    "folders",
    metavar="FOLDER...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Write the results of all into this folder."
)
@click.option("--yes", is_flag=True, help="Replace earlier results there without being asked.")
def compare(folders: tuple[Path, ...], out: Path | None, yes: bool) -> None:
    """Compare the models whose results are in the FOLDERs, pair by pair, on the items that both were asked."""
    from outcrop.evaluation.comparing import merged
    from outcrop.evaluation.item import EvaluationError
    from outcrop.evaluation.results import Results

    try:
        if out is not None:
            _check_folder(out, yes)
        several = {str(folder): Results.read(folder) for folder in dict.fromkeys(folders)}
    except EvaluationError as problem:
        raise click.ClickException(str(problem)) from None
    results = merged(several)
    if len(results.models()) < 2:
        raise click.ClickException("There is one model in the results, and two are needed to compare.")
    if out is not None:
        _write(results, out)
    _show(results)


@evaluate.command()
def suites() -> None:
    """List the suites, and whether their data is in the data folder."""
    from outcrop import settings
    from outcrop.evaluation.data import missing
    from outcrop.evaluation.suites import SUITES

    for suite in SUITES.values():
        folder = settings.home() / "benchmarks" / suite.name
        there = folder.is_dir() and not missing(suite.sources, folder)
        if suite.generated:
            state = "generated"
        else:
            state = (
                "there" if there else "fetched when it is asked" if suite.sources else f"yours: put it into {folder}"
            )
        click.echo(f"{suite.name:15} {suite.field:13} {suite.title:15} {state}")


def _listed(text: str | None) -> list[str]:
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def _check_groups(suites: Sequence[Suite], languages: str | None, subjects: str | None) -> None:
    from outcrop.evaluation.item import EvaluationError

    for option, said, grouped in (("--languages", languages, "languages"), ("--subjects", subjects, "subjects")):
        if said and not any(suite.grouped == grouped for suite in suites):
            raise EvaluationError(f"{option} says nothing to {', '.join(suite.name for suite in suites)}.")


def _check_folder(folder: Path, yes: bool) -> None:
    from outcrop.evaluation.item import EvaluationError
    from outcrop.evaluation.results import RUNS

    if (folder / RUNS).exists() and not yes:
        raise EvaluationError(f"{folder} holds results already. Name another folder, or replace them with --yes.")


def _options(suite: Suite, shots: int | None, seed: int, languages: str | None, subjects: str | None) -> Options:
    from outcrop.evaluation.item import Options

    groups = {"languages": _listed(languages), "subjects": _listed(subjects), None: []}[suite.grouped]
    return Options(shots, tuple(groups), seed)


def _items(suite: Suite, options: Options, data: Path | None, settings: Settings, yes: bool) -> list[Item]:
    """Of the user's folder, or of ours, into which they are fetched first."""
    from outcrop import settings as settings_module
    from outcrop.evaluation import data as files
    from outcrop.evaluation.item import EvaluationError

    if suite.name == "ifeval" and importlib.util.find_spec("langdetect") is None:
        raise EvaluationError("IFEval needs langdetect. Install it with: pip install 'outcrop[evaluate]'")
    folder = settings_module.home() / "benchmarks" / suite.name
    if data is not None:
        folder = files.folder_of(data, suite.name)
    elif missing := files.missing(suite.sources, folder):
        where = f"{suite.title} is not in {folder}"
        if settings.network == "none":
            raise EvaluationError(f'{where}, and network is "none" in the settings. Name its folder with --data.')
        hosts = ", ".join(sorted({source.url.split("/")[2] for source in missing}))
        if not yes and not (sys.stdin.isatty() and click.confirm(f"{where}. Fetch it from {hosts}?")):
            raise EvaluationError(f"{where}. Fetch it from {hosts} with --yes, or name its folder with --data.")
        settings_module.home().mkdir(mode=0o700, parents=True, exist_ok=True)
        click.echo(f"Fetching {suite.title} from {hosts} ...", err=True)
        asyncio.run(files.fetch(suite.sources, folder))
    try:
        items = suite.load(folder, options)
    except EvaluationError as problem:
        raise EvaluationError(f"{suite.title}: {problem}") from None
    if not items:
        raise EvaluationError(f"{suite.title}: {folder} holds no item of {', '.join(options.groups) or 'it'}.")
    return items


async def _evaluated(
    specs: Sequence[ModelSpec],
    work: Sequence[tuple[Suite, list[Item], Plan]],
    settings: Settings,
    concurrency: int | None,
) -> Results:
    """One model after the other, and each suite after the other: an engine is kept busy by one."""
    from contextlib import closing

    from outcrop import settings as settings_module
    from outcrop.cli.evaluation_bar import Bar
    from outcrop.evaluation.cache import Cache
    from outcrop.evaluation.models import opened, started
    from outcrop.evaluation.results import Results
    from outcrop.evaluation.run import evaluate, some

    home = settings_module.home()
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    results = Results([], [])
    with closing(Cache(home / "evaluations" / "answers.sqlite3")) as cache, Bar(len(specs) * len(work)) as bar:
        async with opened(specs, settings, home) as engines:
            for spec in specs:
                asked = await started(engines, spec, concurrency)
                for suite, items, plan in work:
                    few = some(items, plan.limit, plan.parameters.seed)
                    bar.begin(spec.id, suite.title, len(few) * plan.samples)
                    found, records = await evaluate(asked, suite, few, plan, cache, bar.done)
                    results.runs.append(found)
                    results.records.extend(records)
    return results


def _write(results: Results, folder: Path) -> None:
    from outcrop.evaluation.item import EvaluationError
    from outcrop.evaluation.report.page import write_html
    from outcrop.evaluation.report.text import markdown

    results.write(folder)
    (folder / "summary.md").write_text(markdown(results), encoding="utf-8")
    try:
        write_html(results, folder / "report.html")
    except EvaluationError as problem:
        click.echo(f"There is no report.html: {problem}", err=True)


def _show(results: Results) -> None:
    from outcrop.evaluation.comparing import mixed
    from outcrop.evaluation.report.tables import all_metrics, cost, failures, pairs

    for sentence in mixed(results):
        click.echo(sentence, err=True)
    for table in (all_metrics(results), pairs(results), cost(results), failures(results)):
        if table is not None:
            _print(table)


def _print(table: Table) -> None:
    from rich.console import Console
    from rich.table import Table as Drawn
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        # Into a file or a pipe: nothing is folded to the width of a screen that is none.
        console = Console(width=1000)
    drawn = Drawn(title=table.title, title_justify="left")
    for place, name in enumerate(table.columns):
        drawn.add_column(name, overflow="fold", justify="right" if place in table.numbers else "left")
    for row in table.rows:
        drawn.add_row(*map(Text, row))
    console.print(drawn)
    for note in table.notes:
        console.print(Text(note, style="dim"))


def _complain(results: Results) -> None:
    """A model that answered nothing has no score that means anything."""
    from outcrop.evaluation.results import costs

    for cost in costs(results):
        if cost.failures == cost.answers:
            first = results.of(cost.model, cost.suite)[0].failure
            raise click.ClickException(f"{cost.model} gave no answer to any item of {cost.suite}: {first}")
