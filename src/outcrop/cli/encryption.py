"""`outcrop encryption`: the keys that encrypt what accounts store, running server or not."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from outcrop.cli.identities import account_option, json_option, opened, show
from outcrop.settings import load

if TYPE_CHECKING:
    from outcrop.encryption.keys import Key, Keys, State
    from outcrop.store.database import Database

_ALIAS = re.compile(r"(alias/)?[A-Za-z0-9/_-]{1,200}")

region_option = click.option("--region", help="Of which region. Default: that of the settings.")


@click.group()
def encryption() -> None:
    """Create, rotate and disable the keys that encrypt what accounts store."""


@encryption.command("list")
@click.option("--account", metavar="ID|NAME", help="Only this account's. Default: those of all accounts.")
@json_option
def list_(account: str | None, as_json: bool) -> None:
    """List the keys, never their material."""
    with _opened(account) as parts:
        found = parts.keys.all(None if account is None else parts.account)
    show([_members(key) for key in found], as_json)


@encryption.command()
@click.option("--alias", help="A name, by which requests may call it: alias/NAME.")
@click.option("--description", default="", help="What it is for.")
@account_option
@region_option
@json_option
def create(alias: str | None, description: str, account: str | None, region: str | None, as_json: bool) -> None:
    """Make a key that requests may name, and print its ARN."""
    from outcrop.store.database import IntegrityError

    if alias is not None and _ALIAS.fullmatch(alias) is None:
        raise click.UsageError("An alias has letters, digits and /_- only.")
    with _opened(account) as parts:
        try:
            with parts.database.transaction() as transaction:
                name = None if alias is None else alias.removeprefix("alias/")
                made = parts.keys.create(transaction, parts.account, region or parts.region, name, description)
        except IntegrityError:
            raise click.ClickException(f"The account has a key called {alias} already.") from None
    show([_members(made)], as_json, single=True)


@encryption.command()
@click.argument("key", metavar="KEY")
@account_option
@region_option
def rotate(key: str, account: str | None, region: str | None) -> None:
    """Give KEY (id, ARN or alias/NAME) a new version, which encrypts from now on. The old ones go on decrypting."""
    with _opened(account) as parts:
        found = parts.found(key, region)
        with parts.database.transaction() as transaction:
            number = parts.keys.rotate(transaction, found)
    click.echo(f"{found.arn} encrypts with version {number} from now on. What is there: outcrop encryption rewrap")


@encryption.command()
@click.argument("key", metavar="KEY")
@account_option
@region_option
def disable(key: str, account: str | None, region: str | None) -> None:
    """Keep everybody from what KEY encrypts, until it is enabled again. Nothing is lost."""
    _set(key, account, region, "Disabled")


@encryption.command()
@click.argument("key", metavar="KEY")
@account_option
@region_option
def enable(key: str, account: str | None, region: str | None) -> None:
    """Bring back what KEY encrypts."""
    _set(key, account, region, "Enabled")


@encryption.command()
@click.argument("key", metavar="KEY", required=False)
@account_option
@region_option
def rewrap(key: str | None, account: str | None, region: str | None) -> None:
    """Wrap what old versions of KEY, or of all enabled keys, wrapped under the newest one. Stopped anywhere, it goes on later."""
    from outcrop.encryption.rewrap import rewrap as again
    from outcrop.store.seals import Damaged

    with _opened(account) as parts:
        chosen = parts.keys.all(None if account is None else parts.account)
        if key is not None:
            chosen = [parts.found(key, region)]
        for each in chosen:
            if key is None and each.state != "Enabled":
                click.echo(f"{each.arn} is disabled and was left out.", err=True)
                continue
            try:
                click.echo(
                    f"{each.arn}: {again(parts.database, parts.keys, each)} data keys under version {each.newest}."
                )
            except Damaged as problem:
                raise click.ClickException(str(problem)) from None


class _Parts(NamedTuple):
    database: Database
    keys: Keys
    account: str
    region: str

    def found(self, name: str, region: str | None) -> Key:
        return self.keys.find(self.account, region or self.region, name)


@contextlib.contextmanager
def _opened(account: str | None) -> Iterator[_Parts]:
    from outcrop.encryption.keys import attached
    from outcrop.settings import home
    from outcrop.store.seals import Unreadable

    with opened(account) as parts:
        settings = load()
        keys = attached(settings, parts.database, home())
        try:
            yield _Parts(parts.database, keys, parts.account, settings.region)
        except Unreadable as problem:
            raise click.ClickException(f"{problem.message}. See: outcrop encryption list") from None


def _set(name: str, account: str | None, region: str | None, state: State) -> None:
    with _opened(account) as parts:
        key = parts.found(name, region)
        with parts.database.transaction() as transaction:
            parts.keys.set_state(transaction, key, state)
    click.echo(f"{key.arn}: {state}")


def _members(key: Key) -> dict[str, Any]:
    """KMS's names where it has them."""
    return {
        "Arn": key.arn,
        "Alias": None if key.alias is None else f"alias/{key.alias}",
        "KeyState": key.state,
        "Version": key.newest,
        "CreationDate": key.created_at,
        "Description": key.description or None,
    }
