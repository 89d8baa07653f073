"""`outcrop users` and `outcrop roles`: who may be given permissions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from outcrop.cli.identities import (
    account_option,
    json_option,
    new_principal_options,
    opened,
    show,
    tags_of,
    with_administrator,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from outcrop.identity.accounts import Role, User
    from outcrop.store.database import Database, Transaction


@click.group()
def users() -> None:
    """Create, list and delete users."""


@users.command()
@click.argument("name")
@account_option
@new_principal_options
@json_option
def create(
    name: str,
    account: str | None,
    policies: tuple[str, ...],
    administrator: bool,
    boundary: str | None,
    tags: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make the user NAME, who may do nothing that no policy allows. Keys: outcrop keys create --user NAME."""
    from outcrop.identity import accounts

    given = tags_of(tags)
    with opened(account) as parts:
        with parts.database.transaction() as transaction:
            limit = _boundary(transaction, parts.account, boundary)
            made = accounts.add_user(transaction, parts.account, name, boundary=limit)
            _equip(transaction, made, with_administrator(policies, administrator), given)
        row = _row(parts.database, made)
    show([row], as_json, single=True)


@users.command("list")
@account_option
@json_option
def list_(account: str | None, as_json: bool) -> None:
    """List the users of an account and their policies."""
    from outcrop.identity import accounts

    with opened(account) as parts:
        rows = [_row(parts.database, user) for user in accounts.users(parts.database, parts.account)]
    show(rows, as_json)


@users.command()
@click.argument("name")
@account_option
def delete(name: str, account: str | None) -> None:
    """Delete the user NAME with all keys, which stop working at once."""
    from outcrop.identity import accounts

    with opened(account) as parts, parts.database.transaction() as transaction:
        accounts.remove_user(transaction, accounts.user(transaction, parts.account, name))
    click.echo(f"{name} is deleted.")


@click.group()
def roles() -> None:
    """Create, list and delete roles, which users become by sts:AssumeRole."""


@roles.command("create")
@click.argument("name")
@account_option
@click.option(
    "--trust", type=click.File("r", "utf-8"), help="A trust policy: who may be the role. Default: the account's own."
)
@click.option("--max-session-seconds", type=int, default=3600, show_default=True, help="The longest life of a session.")
@new_principal_options
@json_option
def create_role(
    name: str,
    account: str | None,
    trust: Any,
    max_session_seconds: int,
    policies: tuple[str, ...],
    administrator: bool,
    boundary: str | None,
    tags: tuple[str, ...],
    as_json: bool,
) -> None:
    """Make the role NAME. Without --trust, users of its account may be it whom a policy allows sts:AssumeRole on it."""
    from outcrop.identity import accounts
    from outcrop.identity.policies.rows import checked_trust, trust_of_account

    given = tags_of(tags)
    with opened(account) as parts:
        document = trust_of_account(parts.account) if trust is None else checked_trust(trust.read())
        with parts.database.transaction() as transaction:
            limit = _boundary(transaction, parts.account, boundary)
            made = accounts.add_role(
                transaction, parts.account, name, document, max_session_seconds=max_session_seconds, boundary=limit
            )
            _equip(transaction, made, with_administrator(policies, administrator), given)
        row = _row(parts.database, made)
    show([row], as_json, single=True)


@roles.command("list")
@account_option
@json_option
def list_roles(account: str | None, as_json: bool) -> None:
    """List the roles of an account and their policies."""
    from outcrop.identity import accounts

    with opened(account) as parts:
        rows = [_row(parts.database, role) for role in accounts.roles(parts.database, parts.account)]
    show(rows, as_json)


@roles.command("delete")
@click.argument("name")
@account_option
def delete_role(name: str, account: str | None) -> None:
    """Delete the role NAME. Its sessions may do nothing from then on."""
    from outcrop.identity import accounts

    with opened(account) as parts, parts.database.transaction() as transaction:
        accounts.remove_role(transaction, accounts.role(transaction, parts.account, name))
    click.echo(f"{name} is deleted.")


def _boundary(transaction: Transaction, account: str, name: str | None) -> str | None:
    from outcrop.identity.policies import rows

    return None if name is None else rows.policy(transaction, account, name).arn


def _equip(transaction: Transaction, made: User | Role, policies: Sequence[str], tags: dict[str, str]) -> None:
    from outcrop.identity import accounts
    from outcrop.identity.policies import rows

    for name in policies:
        rows.attach(transaction, made.id, rows.policy(transaction, made.account, name).arn)
    accounts.tag(transaction, made.id, tags)


def _row(database: Database, principal: User | Role) -> dict[str, Any]:
    """IAM's names."""
    from outcrop.identity import accounts
    from outcrop.identity.accounts import Role
    from outcrop.identity.policies import rows

    kind = "Role" if isinstance(principal, Role) else "User"
    row: dict[str, Any] = {
        f"{kind}Name": principal.name,
        "Arn": principal.arn,
        f"{kind}Id": principal.id,
        "AttachedPolicies": rows.attached(database, principal.id),
        "PermissionsBoundary": principal.boundary,
        "Tags": [f"{key}={value}" for key, value in accounts.tags(database, principal.id).items()],
    }
    if isinstance(principal, Role):
        row["MaxSessionDuration"] = principal.max_session_seconds
    return row
