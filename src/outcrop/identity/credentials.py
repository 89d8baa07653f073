"""Accounts, users and their keys, as the database has them, remembered in memory for the hot path.

A remembered key is read again once any process has written to the database, which is asked at most every
`FRESH_SECONDS`: a key revoked anywhere stops working within that time.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, TypeVar

from outcrop.identity import arns
from outcrop.identity.caller import Caller, Kind, Session
from outcrop.store.database import Database, Row
from outcrop.store.keyfile import Vault

FRESH_SECONDS = 0.2
# Keys kept in memory; beyond it the memory is emptied, which costs a read of one row for each key in use.
REMEMBERED = 10_000
# Callers kept for one key: it may sign for as many regions, and a client may make up names.
CALLERS = 64

ADMINISTRATOR = "admin"

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Principal:
    """Whose key it is: a user's, or a role's in a session that is called `user_name`."""

    account: str
    user_id: str
    user_name: str
    session: Session | None = None

    @property
    def arn(self) -> str:
        if self.session is None:
            return arns.user(self.account, self.user_name)
        return arns.assumed_role(self.account, self.session.role_arn.rpartition("/")[2], self.user_name)


@dataclass(slots=True)
class AccessKey:
    id: str
    secret: str = field(repr=False)
    principal: Principal
    _callers: dict[tuple[Kind, str | None], Caller] = field(default_factory=dict, repr=False)

    def caller(self, kind: Kind, region: str | None) -> Caller:
        found = self._callers.get((kind, region))
        if found is None:
            if len(self._callers) >= CALLERS:
                self._callers.clear()
            found = self._callers[kind, region] = _caller(self.principal, self.id, kind, region)
        return found


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A long-term Bedrock API key; `expires_at` in POSIX seconds."""

    id: str
    principal: Principal
    expires_at: float | None

    def caller(self) -> Caller:
        return _caller(self.principal, self.id, "long-term-key", None)


class Credentials:
    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault
        self._hash_key = vault.subkey("api-keys")
        self._access_keys: Memory[AccessKey] = Memory(database, self._read_access_key)
        self._api_keys: Memory[ApiKey] = Memory(database, self._read_api_key)

    def access_key(self, key_id: str) -> AccessKey | None:
        """The access key, or None if there is none or it was revoked."""
        return self._access_keys.get(key_id)

    def api_key(self, token: str) -> ApiKey | None:
        """The long-term key that is `token`, expired or not, or None if there is none or it was revoked."""
        return self._api_keys.get(api_key_hash(self._hash_key, token))

    def administrator(self) -> Principal:
        """The user that the first start made. LookupError before the first start."""
        row = self._database.one(
            "SELECT u.account_id, u.id AS user_id, u.name FROM users u JOIN accounts a ON a.id = u.account_id "
            "WHERE u.name = ? ORDER BY a.number, a.created_at LIMIT 1",
            ADMINISTRATOR,
        )
        if row is None:
            raise LookupError("There is no account yet.")
        return _principal(row)

    def _read_access_key(self, key_id: str) -> AccessKey | None:
        row = self._database.one(
            "SELECT k.secret, u.account_id, u.id AS user_id, u.name "
            "FROM access_keys k JOIN users u ON u.id = k.user_id WHERE k.id = ? AND k.revoked_at IS NULL",
            key_id,
        )
        if row is None:
            return None
        return AccessKey(key_id, self._vault.decrypt(row["secret"], key_id).decode(), _principal(row))

    def _read_api_key(self, hashed: str) -> ApiKey | None:
        row = self._database.one(
            "SELECT k.id, k.expires_at, u.account_id, u.id AS user_id, u.name "
            "FROM api_keys k JOIN users u ON u.id = k.user_id WHERE k.hash = ? AND k.revoked_at IS NULL",
            hashed,
        )
        if row is None:
            return None
        return ApiKey(row["id"], _principal(row), posix(row["expires_at"]))


class Memory(Generic[K]):
    """What `read` found, until somebody writes to the database. Unknown keys are never remembered."""

    def __init__(self, database: Database, read: Callable[[str], K | None]) -> None:
        self._database = database
        self._read = read
        self._found: dict[str, K] = {}
        self._version = database.version()
        self._asked = time.monotonic()

    def get(self, key: str) -> K | None:
        if time.monotonic() - self._asked > FRESH_SECONDS:
            self._refresh()
        found = self._found.get(key)
        return found if found is not None else self._learn(key)

    def _learn(self, key: str) -> K | None:
        version = self._version
        found = self._read(key)
        if found is not None and version == self._version:
            if len(self._found) >= REMEMBERED:
                self._found = {}
            self._found[key] = found
        return found

    def _refresh(self) -> None:
        version = self._database.version()
        if version != self._version:
            self._version, self._found = version, {}
        self._asked = time.monotonic()


def api_key_hash(key: bytes, token: str) -> str:
    """What is kept of a long-term key. Its 32 random bytes need no slow hash; the keyed one ties it to the key file."""
    return hmac.new(key, token.encode("latin-1", "replace"), hashlib.sha256).hexdigest()


def posix(moment: str | None) -> float | None:
    return None if moment is None else datetime.fromisoformat(moment).timestamp()


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _principal(row: Row) -> Principal:
    return Principal(row["account_id"], row["user_id"], row["name"])


def _caller(principal: Principal, key_id: str, kind: Kind, region: str | None) -> Caller:
    session = principal.session
    user_id = principal.user_id if session is None else f"{principal.user_id}:{principal.user_name}"
    return Caller(principal.account, principal.arn, user_id, key_id, kind, region, session)
