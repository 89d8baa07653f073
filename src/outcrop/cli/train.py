"""`outcrop train RECIPE`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import click


@click.command()
@click.argument("recipe", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for checkpoints and the result.")
@click.option("--resume/--no-resume", default=True, help="Go on from the newest checkpoint in the folder.")
def train(recipe: Path, out: Path | None, resume: bool) -> None:
    """Train the model that RECIPE describes; a run that was interrupted goes on where it stopped."""
    if importlib.util.find_spec("torch") is None:
        raise click.ClickException("Training needs PyTorch. Install it with: pip install 'outcrop[train]'")
    from outcrop.training.recipe import RecipeError
    from outcrop.training.run import train as run

    try:
        folder = run(recipe, out, resume=resume)
    except RecipeError as problem:
        raise click.ClickException(str(problem)) from None
    click.echo(f"The model is in {folder}")
