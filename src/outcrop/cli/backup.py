"""`outcrop backup` and `outcrop restore`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from outcrop import settings as settings_module
from outcrop.serve.announced import running
from outcrop.settings import SettingsError, database_of, home

if TYPE_CHECKING:
    from outcrop.store.archive import Manifest
    from outcrop.store.database import Database

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=FILE)
@click.option("--with-key", is_flag=True, help="Put the key file in: whoever has the backup has all secrets then.")
@click.option("--without-objects", is_flag=True, help="Leave out what is in buckets of the data folder.")
@click.option("--without-models", is_flag=True, help="Leave out the files of custom and imported models.")
@click.option("--without-audit", is_flag=True, help="Leave out the audit trail.")
def backup(file: Path, with_key: bool, without_objects: bool, without_models: bool, without_audit: bool) -> None:
    """Write the database, the objects of the data folder, custom models and the audit trail to the new FILE.

    A server may run and write meanwhile: the backup is of one moment. It can be restored into SQLite and PostgreSQL alike.
    """
    from outcrop.audit.copying import TrailFiles
    from outcrop.identity.keyring import Keyring
    from outcrop.models.custom import FOLDER
    from outcrop.models.held import HeldModels
    from outcrop.objects.local.held import HeldObjects
    from outcrop.store import archive
    from outcrop.store.keyfile import Vault

    key = home() / "key"
    if not key.exists():
        raise click.ClickException(f"There is no key file {key}, and so no data here that a server could use.")
    with _opened(up_to_date=True) as database:
        vault = Vault.open(home())
        # A backup that names the wrong key file would be refused with the right one.
        Keyring(database, vault).newest_access_key()
        contents: list[archive.Contents] = []
        contents += [] if without_objects else [HeldObjects(home() / "objects")]
        contents += [] if without_models else [HeldModels(home() / FOLDER)]
        contents += [] if without_audit else [TrailFiles(home() / "audit")]
        with _progress("Backing up") as (total, progress):
            made = archive.backup(
                database, vault, file, with_key=with_key, contents=contents, total=total, progress=progress
            )
    click.echo(f"{file} holds {made.rows} rows of {len(made.tables)} tables of {database.name}{_files(made)}.")
    for name, one in made.folders.items():
        if one.absent:
            click.secho(
                f"{one.absent} of {name} that the database names are not in {home() / name}: they are with another "
                "server, or lost. They are not in the backup.",
                fg="red",
            )
    if with_key:
        click.echo("The key file is in it: whoever has this file has all secrets that are stored.")
    else:
        click.echo(f"The key file is not in it. Keep a copy of {key} elsewhere: the stored secrets open with it only.")
    click.echo(f"Settings, certificates and models are files in {home()}: copy them as files.")


@click.command()
@click.argument("file", type=FILE)
@click.option(
    "--replace", is_flag=True, help="Throw away what the database holds; set files that are in the way aside."
)
def restore(file: Path, replace: bool) -> None:
    """Put the backup FILE into the database that the settings name, SQLite or PostgreSQL, and its files into the data folder.

    Both must be empty and the server stopped. Either all of the backup is there afterwards or nothing was changed.
    """
    from outcrop.store import archive

    if (server := running(home())) is not None:
        raise click.ClickException(
            f"A server runs on {server.url} with this data (process {server.pid}). Stop it first."
        )
    with _opened(up_to_date=False) as database, _progress("Restoring") as (total, progress):
        restored = archive.restore(database, home(), file, replace=replace, total=total, progress=progress)
    click.echo(
        f"{database.name} holds {restored.rows} rows of {len(restored.tables)} tables{_files(restored)}, as they were at "
        f"{restored.created_at}."
    )
    key = home() / "key"
    if not key.exists():
        click.secho(
            f"The backup holds no key file. Put the one that it was made with at {key} (mode 600) before the next start: "
            "the stored secrets open with it only.",
            fg="red",
        )


def _files(manifest: Manifest) -> str:
    return "".join(f", {one.files} files of {name}" for name, one in manifest.folders.items())


@contextlib.contextmanager
def _progress(doing: str) -> Iterator[tuple[Callable[[int], None], Callable[[int], None]]]:
    """A bar of bytes on standard error, where a person looks at it: what to tell the total, and what is done."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(doing, total=None)
        yield (lambda total: bar.update(task, total=total)), (lambda done: bar.advance(task, done))


@contextlib.contextmanager
def _opened(*, up_to_date: bool) -> Iterator[Database]:
    from outcrop.store.archive import ArchiveError
    from outcrop.store.database import Database, DatabaseError
    from outcrop.store.keyfile import KeyFileError

    folder = home()
    try:
        where = database_of(settings_module.load(), folder)
        with contextlib.closing(Database.open(where, up_to_date=up_to_date)) as database:
            yield database
    except (SettingsError, DatabaseError, KeyFileError, ArchiveError) as problem:
        raise click.ClickException(str(problem)) from None
