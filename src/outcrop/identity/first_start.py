"""The first start: an account, its administrator and an access key, and the lines that connect a client with them."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

from outcrop.identity import accounts
from outcrop.identity.credentials import ADMINISTRATOR, Principal
from outcrop.identity.keyring import Keyring, KeyringError, NewAccessKey, add_access_key
from outcrop.identity.policies import managed
from outcrop.identity.policies import rows as policies
from outcrop.store.database import Database, Transaction
from outcrop.store.keyfile import Vault

SERVICES = ("BEDROCK", "BEDROCK_RUNTIME", "BEDROCK_AGENT", "BEDROCK_AGENT_RUNTIME", "S3", "STS")


@dataclass(frozen=True, slots=True)
class Administrator:
    account: str
    arn: str
    access_key: NewAccessKey


def ensure_administrator(database: Database, vault: Vault) -> Administrator | None:
    """Make the account if there is none; None if there is. Several processes may start at once: one of them makes it.

    Raises KeyFileError if the key file is not the one that the stored keys were encrypted with.
    """
    with database.transaction() as transaction:
        if transaction.one("SELECT id FROM accounts LIMIT 1") is None:
            return make_account(transaction, vault)
    Keyring(database, vault).newest_access_key()
    return None


def make_account(
    transaction: Transaction, vault: Vault, name: str | None = None, chosen_id: str | None = None
) -> Administrator:
    """An account with an administrator, who may do everything in it, and his access key."""
    account = accounts.add_account(transaction, name, chosen_id)
    made = accounts.add_user(transaction, account.id, ADMINISTRATOR)
    policies.attach(transaction, made.id, managed.ADMINISTRATOR)
    key = add_access_key(transaction, vault, Principal(account.id, made.id, made.name))
    return Administrator(account.id, made.arn, key)


def exports(
    folder: Path, *, url: str, ca: Path | None, region: str = "us-east-1", database: Path | str | None = None
) -> dict[str, str]:
    """The environment variables that point AWS's SDKs at the server on `url`, made on first use.

    `ca` is the authority's certificate of a server with TLS; `database` is where the database is, if not in the data
    folder. Raises KeyringError if the administrator has no key left.
    """
    opened, vault = Database.open(database or folder / "outcrop.db"), Vault.open(folder)
    with contextlib.closing(opened):
        ensure_administrator(opened, vault)
        key = Keyring(opened, vault).newest_access_key()
    if key is None:
        raise KeyringError("The administrator has no active access key. Run: outcrop keys create")
    variables = {"AWS_ACCESS_KEY_ID": key[0], "AWS_SECRET_ACCESS_KEY": key[1]}
    variables |= {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    variables |= {f"AWS_ENDPOINT_URL_{service}": url for service in SERVICES}
    if ca is not None:
        variables["AWS_CA_BUNDLE"] = str(ca)
    return variables
