"""`outcrop backup` and `outcrop restore`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from outcrop import settings as settings_module
from outcrop.serve.announced import running
from outcrop.settings import SettingsError, database_of, home

if TYPE_CHECKING:
    from outcrop.store.database import Database

FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=FILE)
@click.option("--with-key", is_flag=True, help="Put the key file in: whoever has the backup has all secrets then.")
def backup(file: Path, with_key: bool) -> None:
    """Write the database to the new FILE, while a server runs or not.

    It can be restored into SQLite and PostgreSQL alike.
    """
    from outcrop.identity.keyring import Keyring
    from outcrop.store import archive
    from outcrop.store.keyfile import Vault

    key = home() / "key"
    if not key.exists():
        raise click.ClickException(f"There is no key file {key}, and so no data here that a server could use.")
    with _opened(up_to_date=True) as database:
        vault = Vault.open(home())
        # A backup that names the wrong key file would be refused with the right one.
        Keyring(database, vault).newest_access_key()
        made = archive.backup(database, vault, file, with_key=with_key)
    click.echo(f"{file} holds {made.rows} rows of {len(made.tables)} tables of {database.name}.")
    if with_key:
        click.echo("The key file is in it: whoever has this file has all secrets that are stored.")
    else:
        click.echo(f"The key file is not in it. Keep a copy of {key} elsewhere: the stored secrets open with it only.")
    click.echo(
        f"Settings, certificates, models, objects and the audit trail are files in {home()}: copy them as files."
    )


@click.command()
@click.argument("file", type=FILE)
@click.option("--replace", is_flag=True, help="Throw away what the database holds.")
def restore(file: Path, replace: bool) -> None:
    """Put the backup FILE into the database that the settings name, SQLite or PostgreSQL.

    It must be empty and its server stopped. Either all of the backup is there afterwards or nothing was changed.
    """
    from outcrop.store import archive

    if (server := running(home())) is not None:
        raise click.ClickException(
            f"A server runs on {server.url} with this data (process {server.pid}). Stop it first."
        )
    with _opened(up_to_date=False) as database:
        restored = archive.restore(database, home(), file, replace=replace)
    click.echo(
        f"{database.name} holds {restored.rows} rows of {len(restored.tables)} tables, as they were at {restored.created_at}."
    )
    key = home() / "key"
    if not key.exists():
        click.secho(
            f"The backup holds no key file. Put the one that it was made with at {key} (mode 600) before the next start: "
            "the stored secrets open with it only.",
            fg="red",
        )


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
