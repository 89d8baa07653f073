"""The first start: an account, its administrator and an access key, and the lines that connect a client with them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from outcrop.identity.credentials import ADMINISTRATOR, iso
from outcrop.identity.keyring import Keyring, KeyringError, NewAccessKey, add_access_key, add_user
from outcrop.store.database import Database, Transaction
from outcrop.store.ids import account_id
from outcrop.store.keyfile import Vault

SERVICES = ("BEDROCK", "BEDROCK_RUNTIME", "BEDROCK_AGENT", "BEDROCK_AGENT_RUNTIME")


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
            return _make(transaction, vault)
    Keyring(database, vault).newest_access_key()
    return None


def _make(transaction: Transaction, vault: Vault) -> Administrator:
    account = account_id()
    transaction.execute("INSERT INTO accounts (id, created_at) VALUES (?, ?)", account, iso(datetime.now(UTC)))
    principal = add_user(transaction, account, ADMINISTRATOR)
    return Administrator(account, principal.arn, add_access_key(transaction, vault, principal))


def exports(folder: Path, *, url: str, ca: Path | None, region: str = "us-east-1") -> dict[str, str]:
    """The environment variables that point AWS's SDKs at the server on `url`, made on first use.

    `ca` is the authority's certificate of a server with TLS. Raises KeyringError if the administrator has no key left.
    """
    database, vault = Database.open(folder / "outcrop.db"), Vault.open(folder)
    try:
        ensure_administrator(database, vault)
        key = Keyring(database, vault).newest_access_key()
    finally:
        database.close()
    if key is None:
        raise KeyringError("The administrator has no active access key. Run: outcrop keys create")
    variables = {"AWS_ACCESS_KEY_ID": key[0], "AWS_SECRET_ACCESS_KEY": key[1]}
    variables |= {"AWS_REGION": region, "AWS_DEFAULT_REGION": region}
    variables |= {f"AWS_ENDPOINT_URL_{service}": url for service in SERVICES}
    if ca is not None:
        variables["AWS_CA_BUNDLE"] = str(ca)
    return variables
