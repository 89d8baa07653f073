"""Keys made, listed and revoked. A key's secret leaves here once, when it is made."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from outcrop.identity import accounts
from outcrop.identity.accounts import IdentityError
from outcrop.identity.bearer import new_long_term_key
from outcrop.identity.credentials import ADMINISTRATOR, Principal, api_key_hash, iso, posix
from outcrop.identity.policies import rows as policies
from outcrop.store.database import Database, Row, Transaction
from outcrop.store.ids import BASE32, new_id
from outcrop.store.keyfile import Vault

# The longest age of a service-specific credential in days.
MAX_DAYS = 36_600

KeyringError = IdentityError


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
    """`account` is its user's; `kind` is `access-key` or `api-key`, `status` is `Active`, `Revoked` or `Expired`."""

    id: str
    kind: str
    account: str
    user_name: str
    status: str
    created_at: str
    expires_at: str | None


class Keyring:
    """The keys of all accounts. New ones are for users of `account` (an id or a name), the first one if it is None.

    A user who is not there yet is made, and may do what `policies` (names or ARNs) allow.
    """

    def __init__(
        self, database: Database, vault: Vault, *, account: str | None = None, policies: Sequence[str] = ()
    ) -> None:
        self._database = database
        self._vault = vault
        self._account = account
        self._policies = policies

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
            "SELECT k.id AS id, 'access-key' AS kind, u.account_id, u.name, "
            "k.created_at AS created_at, NULL AS expires_at, k.revoked_at "
            "FROM access_keys k JOIN users u ON u.id = k.user_id "
            "UNION ALL SELECT k.id, 'api-key' AS kind, u.account_id, u.name, k.created_at, k.expires_at, k.revoked_at "
            "FROM api_keys k JOIN users u ON u.id = k.user_id ORDER BY created_at, id"
        )
        return [
            ListedKey(
                row["id"],
                row["kind"],
                row["account_id"],
                row["name"],
                _status(row),
                row["created_at"],
                row["expires_at"],
            )
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
            "WHERE u.account_id = ? AND u.name = ? AND k.revoked_at IS NULL ORDER BY k.created_at DESC, k.id LIMIT 1",
            accounts.chosen_account(self._database, self._account),
            user_name,
        )
        return None if row is None else (row["id"], self._vault.decrypt(row["secret"], row["id"]).decode())

    def may_do_something(self, user_name: str) -> bool:
        """Whether the user has a policy at all."""
        account = accounts.chosen_account(self._database, self._account)
        found = accounts.find_user(self._database, account, user_name)
        return found is not None and bool(policies.attached(self._database, found.id))

    def _user(self, transaction: Transaction, name: str) -> Principal:
        account = accounts.chosen_account(transaction, self._account)
        found = accounts.find_user(transaction, account, name)
        if found is None:
            found = accounts.add_user(transaction, account, name)
            for policy in self._policies:
                policies.attach(transaction, found.id, policies.policy(transaction, account, policy).arn)
        elif self._policies:
            raise KeyringError(f"There is a user {name} already. Attach policies with: outcrop policies attach")
        return Principal(account, found.id, name)


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
