"""What the commands on accounts, users, roles and policies share."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from outcrop.settings import SettingsError, database_of, home, load

if TYPE_CHECKING:
    from outcrop.store.database import Database
    from outcrop.store.keyfile import Vault

C = TypeVar("C", bound=Callable[..., Any])

account_option = click.option("--account", metavar="ID|NAME", help="Of which account. Default: the first one.")
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


@dataclass(frozen=True, slots=True)
class Opened:
    """The database and the key of the data folder, and the account that was asked for."""

    database: Database
    vault: Vault
    account: str


@contextlib.contextmanager
def opened(account: str | None = None) -> Iterator[Opened]:
    """A mistake is a sentence on standard error."""
    from outcrop.identity.accounts import IdentityError, chosen_account
    from outcrop.identity.first_start import ensure_administrator
    from outcrop.identity.policies.document import MalformedPolicy
    from outcrop.store.database import Database, DatabaseError
    from outcrop.store.keyfile import KeyFileError, Vault

    folder = home()
    try:
        database, vault = Database.open(database_of(load(), folder)), Vault.open(folder)
        with contextlib.closing(database):
            ensure_administrator(database, vault)
            yield Opened(database, vault, chosen_account(database, account))
    except (SettingsError, IdentityError, DatabaseError, KeyFileError) as problem:
        raise click.ClickException(str(problem)) from None
    except MalformedPolicy as problem:
        raise click.ClickException(f"The policy is malformed. {problem}") from None


def new_principal_options(command: C) -> C:
    """What a new user or role may be given at once."""
    for option in (
        click.option("--tag", "tags", multiple=True, metavar="KEY=VALUE", help="A tag; may be repeated."),
        click.option("--boundary", metavar="POLICY", help="The permissions boundary: a policy's name or ARN."),
        click.option("--administrator", is_flag=True, help="May do everything: attaches AdministratorAccess."),
        click.option("--policy", "policies", multiple=True, help="Attach this policy (name or ARN); may be repeated."),
    ):
        command = option(command)
    return command


def with_administrator(policies: Sequence[str], administrator: bool) -> list[str]:
    from outcrop.identity.policies.managed import ADMINISTRATOR

    return [*policies, ADMINISTRATOR] if administrator else list(policies)


def tags_of(given: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    for key, equals, _ in pairs:
        if not equals:
            raise click.UsageError(f"--tag takes KEY=VALUE, not {key!r}.")
    return {key: value for key, _, value in pairs}


def show(rows: Sequence[Mapping[str, Any]], as_json: bool, *, single: bool = False) -> None:
    """JSON, or `name: value` lines for one row, or a table for several."""
    if as_json:
        click.echo(json.dumps(rows[0] if single else list(rows), indent=1))
    elif single:
        for name, value in rows[0].items():
            click.echo(f"{name}: {_text(value)}")
    else:
        columns = [[_text(value) for value in row.values()] for row in rows]
        widths = [max(len(row[at]) for row in columns) for at in range(len(columns[0]))] if columns else []
        for row in columns:
            click.echo("  ".join(f"{value:{width}}" for value, width in zip(row, widths, strict=True)).rstrip())


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "-"
    return "-" if value is None else str(value)
