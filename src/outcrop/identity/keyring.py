"""Keys made, listed and revoked. A key's secret leaves here once, when it is made."""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from outcrop.identity.bearer import new_long_term_key
from outcrop.identity.credentials import ADMINISTRATOR, Principal, api_key_hash, iso, posix
from outcrop.store.database import Database, Row, Transaction
from outcrop.store.ids import BASE32, new_id
from outcrop.store.keyfile import Vault

# IAM's rule for user names, and the longest age of a service-specific credential in days.
_USER_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
MAX_DAYS = 36_600


class KeyringError(Exception):
    """A sentence for the person who manages keys."""


@dataclass(frozen=True, slots=True)
class NewAccessKey:
    id: str
    secret: str = field(repr=False)
    user_name: str
    created_at: str


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """`value` is the bearer token."""

    id: str
    value: str = field(repr=False)
    alias: str
    user_name: str
    created_at: str
    expires_at: str | None


@dataclass(frozen=True, slots=True)
class ListedKey:
    """`kind` is `access-key` or `api-key`, `status` is `Active`, `Revoked` or `Expired`."""

    id: str
    kind: str
    user_name: str
    status: str
    created_at: str
    expires_at: str | None


class Keyring:
    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    def create_access_key(self, user_name: str = ADMINISTRATOR) -> NewAccessKey:
        """An access key for the user, who is made if there is none of that name."""
        with self._database.transaction() as transaction:
            principal = self._user(transaction, user_name)
            return add_access_key(transaction, self._vault, principal)

    def create_api_key(self, user_name: str = ADMINISTRATOR, expires_days: int | None = None) -> NewApiKey:
        """A long-term Bedrock API key for the user; without `expires_days` (1 to 36600) it never expires."""
        if expires_days is not None and not 1 <= expires_days <= MAX_DAYS:
            raise KeyringError(f"An API key's age is between 1 and {MAX_DAYS} days, not {expires_days}.")
        now = datetime.now(UTC)
        expires = None if expires_days is None else iso(now + timedelta(days=expires_days))
        with self._database.transaction() as transaction:
            principal = self._user(transaction, user_name)
            alias, value = new_long_term_key(principal.account)
            key = NewApiKey(f"ACCA{new_id(16, BASE32)}", value, alias, user_name, iso(now), expires)
            transaction.execute(
                "INSERT INTO api_keys (id, user_id, alias, hash, created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
                key.id,
                principal.user_id,
                alias,
                api_key_hash(self._vault.subkey("api-keys"), value),
                key.created_at,
                expires,
            )
        return key

    def listed(self) -> list[ListedKey]:
        """All keys, the oldest first, the revoked ones too."""
        rows = self._database.query(
            "SELECT k.id AS id, 'access-key' AS kind, u.name, "
            "k.created_at AS created_at, NULL AS expires_at, k.revoked_at "
            "FROM access_keys k JOIN users u ON u.id = k.user_id "
            "UNION ALL SELECT k.id, 'api-key' AS kind, u.name, k.created_at, k.expires_at, k.revoked_at "
            "FROM api_keys k JOIN users u ON u.id = k.user_id ORDER BY created_at, id"
        )
        return [
            ListedKey(row["id"], row["kind"], row["name"], _status(row), row["created_at"], row["expires_at"])
            for row in rows
        ]

    def revoke(self, key_id: str) -> None:
        """The key stops working everywhere within a second, and what was kept of its secret is erased."""
        now = iso(datetime.now(UTC))
        with self._database.transaction() as transaction:
            done = transaction.execute(
                "UPDATE access_keys SET revoked_at = ?, secret = ? WHERE id = ? AND revoked_at IS NULL",
                now,
                b"",
                key_id,
            ) or transaction.execute(
                "UPDATE api_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL", now, key_id
            )
        if not done:
            raise KeyringError(f"There is no active key {key_id}. See: outcrop keys list")

    def newest_access_key(self, user_name: str = ADMINISTRATOR) -> tuple[str, str] | None:
        """Id and secret of the user's newest active access key."""
        row = self._database.one(
            "SELECT k.id, k.secret FROM access_keys k JOIN users u ON u.id = k.user_id "
            "WHERE u.name = ? AND k.revoked_at IS NULL ORDER BY k.created_at DESC, k.id LIMIT 1",
            user_name,
        )
        return None if row is None else (row["id"], self._vault.decrypt(row["secret"], row["id"]).decode())

    def _user(self, transaction: Transaction, name: str) -> Principal:
        row = transaction.one("SELECT id, account_id FROM users WHERE name = ?", name)
        if row is not None:
            return Principal(row["account_id"], row["id"], name)
        account = transaction.one("SELECT id FROM accounts ORDER BY created_at LIMIT 1")
        if account is None:
            raise KeyringError("There is no account yet. Run: outcrop serve")
        return add_user(transaction, account["id"], name)


def add_user(transaction: Transaction, account: str, name: str) -> Principal:
    if not _USER_NAME.fullmatch(name):
        raise KeyringError("A user name has 1 to 64 letters, digits or any of +=,.@_-")
    principal = Principal(account, f"AIDA{new_id(16, BASE32)}", name)
    transaction.execute(
        "INSERT INTO users (id, account_id, name, created_at) VALUES (?, ?, ?, ?)",
        principal.user_id,
        account,
        name,
        iso(datetime.now(UTC)),
    )
    return principal


def add_access_key(transaction: Transaction, vault: Vault, principal: Principal) -> NewAccessKey:
    """An AWS-shaped key: `AKIA` and 16 letters of base32; a secret of 40 letters of base64."""
    secret = base64.b64encode(secrets.token_bytes(30)).decode()
    key = NewAccessKey(f"AKIA{new_id(16, BASE32)}", secret, principal.user_name, iso(datetime.now(UTC)))
    transaction.execute(
        "INSERT INTO access_keys (id, user_id, secret, created_at) VALUES (?, ?, ?, ?)",
        key.id,
        principal.user_id,
        vault.encrypt(secret.encode(), key.id),
        key.created_at,
    )
    return key


def _status(row: Row) -> str:
    if row["revoked_at"] is not None:
        return "Revoked"
    expires = posix(row["expires_at"])
    return "Expired" if expires is not None and expires <= datetime.now(UTC).timestamp() else "Active"
