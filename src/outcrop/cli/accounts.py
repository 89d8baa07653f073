"""`outcrop accounts`: several accounts in one server, none of which sees the others."""

from __future__ import annotations

import click

from outcrop.cli.identities import json_option, opened, show


@click.group()
def accounts() -> None:
    """Create and list accounts."""


@accounts.command()
@click.argument("name", required=False)
@click.option(
    "--id", "account_id", metavar="DIGITS", help="Its 12 digits, such as those of an account of yours at AWS."
)
@json_option
def create(name: str | None, account_id: str | None, as_json: bool) -> None:
    """Make an account with an administrator, and print his access key. Its secret is shown only this once."""
    from outcrop.identity.first_start import make_account

    with opened() as parts, parts.database.transaction() as transaction:
        made = make_account(transaction, parts.vault, name, account_id)
    row = {
        "AccountId": made.account,
        "Name": name,
        "UserName": made.access_key.user_name,
        "Arn": made.arn,
        "AccessKeyId": made.access_key.id,
        "SecretAccessKey": made.access_key.secret,
    }
    show([row], as_json, single=True)


@accounts.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the accounts, the first one first."""
    from outcrop.identity import accounts as directory

    with opened() as parts:
        rows = [
            {
                "AccountId": account.id,
                "Name": account.name,
                "CreateDate": account.created_at,
                "Users": directory.names_of(directory.users(parts.database, account.id)),
            }
            for account in directory.accounts(parts.database)
        ]
    show(rows, as_json)
