"""`outcrop keys`: access keys and long-term API keys of the data folder, running server or not."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from outcrop.settings import SettingsError, database_of, home, load

if TYPE_CHECKING:
    from outcrop.identity.keyring import Keyring, NewAccessKey, NewApiKey


@click.group()
def keys() -> None:
    """Create, list and revoke access keys and API keys."""


@keys.command()
@click.option("--api-key", is_flag=True, help="A long-term Bedrock API key (a bearer token) instead of an access key.")
@click.option("--user", default="admin", show_default=True, help="Whose key; a new name makes a new user.")
@click.option("--account", metavar="ID|NAME", help="The user's account. Default: the first one.")
@click.option("--policy", "policies", multiple=True, help="Attach this policy to the new user; may be repeated.")
@click.option("--administrator", is_flag=True, help="The new user may do everything.")
@click.option("--expires-days", type=int, help="Days until the API key expires. Without it, it never does.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def create(
    api_key: bool,
    user: str,
    account: str | None,
    policies: tuple[str, ...],
    administrator: bool,
    expires_days: int | None,
    as_json: bool,
) -> None:
    """Make a key and print it. Its secret is shown only this once."""
    from outcrop.cli.identities import with_administrator

    if expires_days is not None and not api_key:
        raise click.UsageError("--expires-days goes with --api-key: access keys do not expire.")
    with _keyring(account, with_administrator(policies, administrator)) as keyring:
        made = (
            _api_key_members(keyring.create_api_key(user, expires_days))
            if api_key
            else _access_key_members(keyring.create_access_key(user))
        )
        powerless = not keyring.may_do_something(user)
    _print([made], as_json, single=True)
    if powerless:
        click.echo(f"{user} has no policy yet and may do nothing. See: outcrop policies attach --help", err=True)


@keys.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def list_(as_json: bool) -> None:
    """List all keys, never their secrets."""
    with _keyring() as keyring:
        rows = [
            {
                "Id": key.id,
                "Kind": key.kind,
                "AccountId": key.account,
                "UserName": key.user_name,
                "Status": key.status,
                "CreateDate": key.created_at,
                "ExpirationDate": key.expires_at,
            }
            for key in keyring.listed()
        ]
    _print(rows, as_json)


@keys.command()
@click.argument("key_id", metavar="ID")
def revoke(key_id: str) -> None:
    """Revoke the key ID at once, for good, in a running server too."""
    with _keyring() as keyring:
        keyring.revoke(key_id)
    click.echo(f"{key_id} is revoked.")


@contextlib.contextmanager
def _keyring(account: str | None = None, policies: Sequence[str] = ()) -> Iterator[Keyring]:
    from outcrop.identity.first_start import ensure_administrator
    from outcrop.identity.keyring import Keyring, KeyringError
    from outcrop.store.database import Database, DatabaseError
    from outcrop.store.keyfile import KeyFileError, Vault

    folder = home()
    try:
        database, vault = Database.open(database_of(load(), folder)), Vault.open(folder)
        with contextlib.closing(database):
            ensure_administrator(database, vault)
            yield Keyring(database, vault, account=account, policies=policies)
    except (SettingsError, KeyringError, DatabaseError, KeyFileError) as problem:
        raise click.ClickException(str(problem)) from None


def _access_key_members(key: NewAccessKey) -> dict[str, str | None]:
    """IAM's names, as `aws iam create-access-key` prints them."""
    return {
        "UserName": key.user_name,
        "AccessKeyId": key.id,
        "Status": "Active",
        "SecretAccessKey": key.secret,
        "CreateDate": key.created_at,
    }


def _api_key_members(key: NewApiKey) -> dict[str, str | None]:
    """IAM's names, as `aws iam create-service-specific-credential` prints them."""
    return {
        "UserName": key.user_name,
        "ServiceSpecificCredentialId": key.id,
        "ServiceCredentialAlias": key.alias,
        "Status": "Active",
        "ServiceApiKeyValue": key.value,
        "CreateDate": key.created_at,
        "ExpirationDate": key.expires_at,
    }


def _print(rows: list[dict[str, str | None]], as_json: bool, *, single: bool = False) -> None:
    if as_json:
        click.echo(json.dumps(rows[0] if single else rows, indent=1))
    elif single:
        for name, value in rows[0].items():
            click.echo(f"{name}: {value if value is not None else 'never'}")
    else:
        for row in rows:
            expires = f"expires {row['ExpirationDate']}" if row["ExpirationDate"] else ""
            line = (
                f"{row['Id']}  {row['Kind']:10}  {row['Status']:7}  {row['CreateDate']}  {row['AccountId']}  "
                f"{row['UserName']}  {expires}"
            )
            click.echo(line.rstrip())
