"""`outcrop train RECIPE|SPEC`: here and now, or through `torchrun` on the devices of one machine or several."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from outcrop.training.launch import Launch, Machines, Profile


@click.command()
@click.argument("what", metavar="RECIPE|SPEC", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for checkpoints and the result.")
@click.option("--resume/--no-resume", default=True, help="Go on from the newest checkpoint in the folder.")
@click.option(
    "--profile",
    type=click.Choice(["cpu", "cuda", "neuron"]),
    help="Start a process for each of these devices with torchrun. Default: train in this process.",
)
@click.option("--nodes", type=click.IntRange(1), default=1, show_default=True, help="How many machines there are.")
@click.option("--node-rank", type=click.IntRange(0), default=0, show_default=True, help="Which of them this is.")
@click.option("--processes", type=click.IntRange(1), help="On each machine. Default: one for each device; cpu: one.")
@click.option("--rendezvous", metavar="HOST:PORT", help="Where all machines meet: an address of machine 0.")
@click.option(
    "--restarts",
    type=click.IntRange(0),
    default=3,
    show_default=True,
    help="How often to go on from the newest checkpoint after a process has failed.",
)
@click.option("--print", "printed", is_flag=True, help="Print the command of this machine instead of running it.")
def train(
    what: Path,
    out: Path | None,
    resume: bool,
    profile: Profile | None,
    nodes: int,
    node_rank: int,
    processes: int | None,
    rendezvous: str | None,
    restarts: int,
    printed: bool,
) -> None:
    """Train the model that RECIPE (TOML) describes, or customize one as SPEC (JSON) says.

    A run that was interrupted goes on where it stopped. With --profile it runs under torchrun; on several machines,
    start it on each with its --node-rank and the same rest, in a folder that all of them see.
    """
    if what.suffix == ".json" and (out is not None or not resume):
        raise click.ClickException("A spec says itself where its run is kept; --out and --no-resume are for recipes.")
    if profile is not None:
        from outcrop.training.launch import Machines

        _launch(what, out, resume, profile, Machines(nodes, node_rank, processes, rendezvous, restarts), printed)
        return
    if printed or nodes > 1 or rendezvous is not None or processes is not None:
        raise click.ClickException("Say with --profile on which kind of device the processes are to run.")
    _check_torch()
    if what.suffix == ".json":
        from outcrop.training.customizing.__main__ import main

        raise SystemExit(main([str(what)]))
    from outcrop.training.recipe import RecipeError
    from outcrop.training.run import train as run

    try:
        folder = run(what, out, resume=resume)
    except RecipeError as problem:
        raise click.ClickException(str(problem)) from None
    click.echo(f"The model is in {folder}")


def _launch(what: Path, out: Path | None, resume: bool, profile: Profile, machines: Machines, printed: bool) -> None:
    if not resume and machines.restarts:
        raise click.ClickException("With --no-resume each restart would begin anew; give --restarts 0 with it.")
    found = _launch_of(what, ["--out", str(out)] if out else [], resume, profile, machines)
    if printed:
        click.echo(found.line())
        return
    _check_torch()
    # In this one's place, so that signals reach torchrun.
    os.execvpe(found.command[0], found.command, {**os.environ, **found.environment})  # noqa: S606 - a list, no shell


def _launch_of(what: Path, options: list[str], resume: bool, profile: Profile, machines: Machines) -> Launch:
    from outcrop.training import launch, recipe
    from outcrop.training.customizing import spec

    try:
        if what.suffix == ".json":
            return launch.of_spec(profile, machines, what, spec.load(what))
        options = options if resume else [*options, "--no-resume"]
        return launch.of_recipe(profile, machines, what, recipe.load(what), options)
    except (launch.LaunchError, recipe.RecipeError, spec.SpecError) as problem:
        raise click.ClickException(str(problem)) from None


def _check_torch() -> None:
    if importlib.util.find_spec("torch") is None:
        raise click.ClickException("Training needs PyTorch. Install it with: pip install 'outcrop[train]'")
