"""`outcrop throughput`: what is reserved for whom, and the end of what its owner cannot delete."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from outcrop import settings as settings_module
from outcrop.settings import SettingsError, database_of, home

if TYPE_CHECKING:
    from outcrop.store.database import Database


@click.group()
def throughput() -> None:
    """List provisioned throughput, and end what is committed."""


@throughput.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def list_(as_json: bool) -> None:
    """List that of all accounts, oldest first."""
    from outcrop.models.throughput import everything

    now = datetime.now(UTC)
    with _opened() as database:
        found = [(row, row.committed_until(now)) for row in everything(database)]
    if as_json:
        rows = [
            {
                "Arn": row.arn,
                "Name": row.name,
                "AccountId": row.account,
                "Model": row.model_name,
                "ModelUnits": row.units,
                "CommittedUntil": None if until is None else until.isoformat(timespec="seconds"),
            }
            for row, until in found
        ]
        click.echo(json.dumps(rows, indent=1))
        return
    for row, until in found:
        committed = "not committed" if until is None else f"committed until {until:%Y-%m-%d}, then renewed"
        click.echo(f"{row.arn}  {row.name}  {row.units} of {row.model_name}  {committed}")


@throughput.command()
@click.argument("name")
def end(name: str) -> None:
    """Delete the one of this NAME, id or ARN, whatever it is committed for. Running servers let its places go with their next request."""
    from outcrop.models import throughput as rows
    from outcrop.tags import tags

    with _opened() as database:
        found = rows.of_all_accounts(database, name)
        if not found:
            raise click.ClickException(f"There is no provisioned throughput {name}. See: outcrop throughput list")
        if len(found) > 1:
            arns = "\n".join(row.arn for row in found)
            raise click.ClickException(f"Several are called {name}. Give the ARN of one:\n{arns}")
        with database.transaction() as transaction:
            rows.remove(transaction, found[0])
            tags.forget(transaction, found[0].arn)
    click.echo(f"{found[0].arn} has ended.")


@contextlib.contextmanager
def _opened() -> Iterator[Database]:
    from outcrop.store.database import Database, DatabaseError

    try:
        with contextlib.closing(Database.open(database_of(settings_module.load(), home()))) as database:
            yield database
    except (SettingsError, DatabaseError) as problem:
        raise click.ClickException(str(problem)) from None
