"""`outcrop aliases`: ids and patterns that a model here answers for, changed while a server runs or not."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from outcrop import settings as settings_module
from outcrop.serve.announced import running
from outcrop.settings import Settings, SettingsError, database_of, home

if TYPE_CHECKING:
    from outcrop.store.database import Database


@click.group()
def aliases() -> None:
    """Let other model ids be answered by a model of yours."""


@aliases.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def list_(as_json: bool) -> None:
    """List the aliases of the settings file and those set at run time, which win."""
    from outcrop.models.aliases import collect, stored

    with _opened() as (settings, database):
        found = collect(settings.aliases, stored(database))
    rows = sorted([*found.exact.values(), *(alias for _, alias in found.patterns)], key=lambda alias: alias.pattern)
    if as_json:
        click.echo(json.dumps([{"alias": a.pattern, "modelId": a.model_id, "from": a.origin} for a in rows], indent=1))
        return
    width = max((len(alias.pattern) for alias in rows), default=0)
    for alias in rows:
        click.echo(f"{alias.pattern:{width}}  {alias.model_id}  ({alias.origin})")


@aliases.command("set")
@click.argument("pattern")
@click.argument("model_id", metavar="MODEL")
def set_(pattern: str, model_id: str) -> None:
    """Answer ids like PATTERN (`*` stands for any text) with MODEL, from now on, in a running server too."""
    from outcrop.models.aliases import AliasError, put
    from outcrop.models.specs import all_specs

    with _opened() as (settings, database):
        known = [spec.id for spec in all_specs(settings)]
        if (server := running(home())) is not None:
            # Models that were named on its command line stand in no file.
            known += [name for name in server.models if name not in known]
        if model_id not in known:
            raise click.ClickException(f"{model_id} is no model here. There are: {', '.join(known) or 'none'}.")
        try:
            put(database, pattern, model_id)
        except AliasError as problem:
            raise click.ClickException(str(problem)) from None
    click.echo(f"{pattern} is answered by {model_id}.")


@aliases.command()
@click.argument("pattern")
def remove(pattern: str) -> None:
    """Forget the run-time alias PATTERN; one of the settings file comes to light again."""
    from outcrop.models.aliases import remove as forget

    with _opened() as (_, database):
        if not forget(database, pattern):
            raise click.ClickException(f"{pattern} was not set at run time. See: outcrop aliases list")
    click.echo(f"{pattern} is removed.")


@contextlib.contextmanager
def _opened() -> Iterator[tuple[Settings, Database]]:
    from outcrop.store.database import Database, DatabaseError

    folder = home()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = settings_module.load()
        with contextlib.closing(Database.open(database_of(settings, folder))) as database:
            yield settings, database
    except (SettingsError, DatabaseError) as problem:
        raise click.ClickException(str(problem)) from None
