"""Keys of accounts: made, found, rotated, disabled; and what is encrypted under them.

Their material is kept in memory once it is unwrapped, and only of keys whose rows are committed: what is encrypted under a
key that a rollback took away would be lost.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from outcrop.encryption import envelope
from outcrop.encryption.key import Disabled, Key, NoSuchKey, State, arn_of, in_arn, no_such_key
from outcrop.settings import Settings
from outcrop.store.database import Database, Row, Transaction
from outcrop.store.keyfile import KeyFileError, Vault
from outcrop.store.seals import MARK

__all__ = ["DEFAULT", "Disabled", "Key", "Keys", "NoSuchKey", "State", "arn_of", "attached"]

# The key of everything that names no other. Made at first use, one for each account and region.
DEFAULT = "outcrop/default"
# How long another process's change may go unnoticed.
FRESH_SECONDS = 0.2

logger = logging.getLogger("outcrop.encryption")


class Keys:
    """`enabled`: whether what names no key is encrypted, too. What is encrypted can be read in any case."""

    def __init__(self, database: Database, vault: Vault, *, enabled: bool = True) -> None:
        self.enabled = enabled
        self._database = database
        self._vault = vault
        self._lock = threading.Lock()
        self._version: str | None = None
        self._checked = float("-inf")
        self._known: dict[str, Key] = {}
        self._defaults: dict[tuple[str, str], Key] = {}
        self._ciphers: dict[tuple[bytes, str], AESGCM | None] = {}

    def all(self, account: str | None = None) -> list[Key]:
        self.refresh()
        found = [key for key in self._known.values() if account in (None, key.account)]
        return sorted(found, key=lambda key: (key.account, key.region, key.created_at, key.id))

    def find(self, account: str, region: str, name: str) -> Key:
        """By ARN, id, `alias/NAME` or the alias's ARN. NoSuchKey, for those of other accounts as well."""
        resource, where = name, region
        if name.startswith("arn:"):
            resource, where = in_arn(name, account)
        key = self._found(account, where, resource)
        if key is None:
            # Made a moment ago.
            self.refresh()
            key = self._found(account, where, resource)
        if key is None or (name.startswith("arn:") and key.region != where):
            raise no_such_key(name)
        return key

    def _found(self, account: str, region: str, resource: str) -> Key | None:
        self._fresh()
        own = [key for key in self._known.values() if key.account == account]
        if resource.startswith("alias/"):
            alias = resource.removeprefix("alias/")
            return next((key for key in own if (key.region, key.alias) == (region, alias)), None)
        return next((key for key in own if key.id == resource.removeprefix("key/")), None)

    def default(self, account: str, region: str, transaction: Transaction | None = None) -> Key:
        """The account's own key, made if it is not there: in the transaction, where this thread is in one."""
        self._fresh()
        if (known := self._defaults.get((account, region))) is not None:
            return known
        found = self._rows(
            self._database, "WHERE account_id = ? AND region = ? AND alias = ?", account, region, DEFAULT
        )
        if found:
            return found[0]
        if transaction is not None:
            return self.create(
                transaction, account, region, DEFAULT, "Made by Outcrop for all that names no other key."
            )
        with self._database.transaction() as own:
            return self.default(account, region, own)

    def create(self, transaction: Transaction, account: str, region: str, alias: str | None, description: str) -> Key:
        """IntegrityError if another key of the account has the alias."""
        key_id = str(uuid.uuid4())
        transaction.execute(
            "INSERT INTO encryption_keys (id, account_id, region, alias, description, state, created_at) "
            "VALUES (?, ?, ?, ?, ?, 'Enabled', ?)",
            key_id,
            account,
            region,
            alias,
            description,
            _now(),
        )
        self._add_version(transaction, account, key_id, 1)
        return self._rows(transaction, "WHERE id = ?", key_id)[0]

    def rotate(self, transaction: Transaction, key: Key) -> int:
        """A new version, which encrypts from now on; its number."""
        row = transaction.one("SELECT max(number) AS newest FROM encryption_key_versions WHERE key_id = ?", key.id)
        assert row is not None
        number = int(row["newest"]) + 1
        self._add_version(transaction, key.account, key.id, number)
        return number

    def set_state(self, transaction: Transaction, key: Key, state: State) -> None:
        transaction.execute("UPDATE encryption_keys SET state = ? WHERE id = ?", state, key.id)

    def wrapped(self, key: Key, data_key: bytes, place: str) -> str:
        """For a row. Disabled."""
        key.check()
        return str(envelope.wrap(key.versions[key.newest], key.id, key.newest, data_key, place))

    def unwrapped(self, text: str, place: str) -> bytes:
        """Disabled, NoSuchKey, Damaged."""
        found = envelope.parsed(text, place)
        return envelope.unwrap(self._cipher_of(found, place), found, place)

    def rewrapped(self, text: str, place: str, key: Key, new_place: str | None = None) -> str:
        """The same data key under the newest version of `key`, for the same place or another. The content stays."""
        found = envelope.parsed(text, place)
        data_key = envelope.unwrap(self._cipher_of(found, place), found, place)
        again = envelope.wrap(key.versions[key.newest], key.id, key.newest, data_key, new_place or place)
        return str(envelope.Wrapped(again.key_id, again.version, again.wrapped, found.content))

    def key_of(self, text: str, place: str) -> Key:
        """The key that a sealed text names, whatever its state. NoSuchKey."""
        return self._key(envelope.parsed(text, place).key_id)

    def seal(self, transaction: Transaction | None, account: str, region: str, text: str, place: str) -> str:
        if not self.enabled:
            return text
        key = self.default(account, region, transaction)
        key.check()
        data_key = os.urandom(envelope.KEY_BYTES)
        wrapped = envelope.wrap(key.versions[key.newest], key.id, key.newest, data_key, place)
        content = envelope.encrypted(AESGCM(data_key), text.encode(), place)
        return str(envelope.Wrapped(wrapped.key_id, wrapped.version, wrapped.wrapped, content))

    def open(self, text: str, place: str) -> str:
        if not text.startswith(MARK):
            return text
        found = envelope.parsed(text, place)
        data_key = envelope.unwrap(self._cipher_of(found, place), found, place)
        return envelope.decrypted(AESGCM(data_key), found.content or b"", place, place).decode()

    def refresh(self) -> None:
        """Look now whether anybody wrote to the database. What a transaction has not committed is not seen."""
        with self._lock:
            self._checked = time.monotonic()
            version = self._database.version()
            if version == self._version:
                return
            with self._database.snapshot() as connection:
                known = {key.id: key for key in self._rows(_Plain(connection), "")}
            self._known = known
            self._defaults = {(key.account, key.region): key for key in known.values() if key.alias == DEFAULT}
            self._version = version

    def _fresh(self) -> None:
        if time.monotonic() - self._checked > FRESH_SECONDS:
            self.refresh()

    def _cipher_of(self, found: envelope.Wrapped, place: str) -> AESGCM:
        key = self._key(found.key_id)
        key.check()
        if (cipher := key.versions.get(found.version)) is None:
            # Rotated a moment ago.
            cipher = self._rows(self._database, "WHERE id = ?", key.id)[0].versions.get(found.version)
        if cipher is None:
            raise envelope.damaged(place)
        return cipher

    def _key(self, key_id: str) -> Key:
        self._fresh()
        if (known := self._known.get(key_id)) is not None:
            return known
        found = self._rows(self._database, "WHERE id = ?", key_id)
        if not found:
            raise no_such_key(key_id)
        return found[0]

    def _rows(self, reads: Any, where: str, *params: object) -> list[Key]:
        found: Iterable[Row] = reads.query(f"SELECT * FROM encryption_keys {where}", *params)  # noqa: S608 - ours
        return [self._key_of_row(reads, row) for row in found]

    def _key_of_row(self, reads: Any, row: Row) -> Key:
        rows = reads.query("SELECT number, material FROM encryption_key_versions WHERE key_id = ?", row["id"])
        ciphers = {each["number"]: self._cipher(row, each) for each in rows}
        return Key(
            row["id"],
            row["account_id"],
            row["region"],
            row["alias"],
            row["description"],
            "Enabled" if row["state"] == "Enabled" else "Disabled",
            row["created_at"],
            {number: cipher for number, cipher in ciphers.items() if cipher is not None},
        )

    def _cipher(self, key: Row, version: Row) -> AESGCM | None:
        """None for a version that does not open: the damage of one key must not be that of all accounts."""
        material, place = bytes(version["material"]), _place(key["account_id"], key["id"], version["number"])
        # Not by the number alone: a rotation that was rolled back gives its number to the next.
        if (material, place) not in self._ciphers:
            self._ciphers[material, place] = self._opened(material, place)
        return self._ciphers[material, place]

    def _opened(self, material: bytes, place: str) -> AESGCM | None:
        try:
            return AESGCM(self._vault.decrypt(material, place))
        except KeyFileError as problem:
            logger.error("%s", problem)
            return None

    def _add_version(self, transaction: Transaction, account: str, key_id: str, number: int) -> None:
        material = os.urandom(envelope.KEY_BYTES)
        transaction.execute(
            "INSERT INTO encryption_key_versions (key_id, number, material, created_at) VALUES (?, ?, ?, ?)",
            key_id,
            number,
            self._vault.encrypt(material, _place(account, key_id, number)),
            _now(),
        )


def attached(settings: Settings, database: Database, folder: Path) -> Keys:
    """The keys of a data folder, which seal and open for its database from now on. Made once for a database."""
    if not isinstance(database.seals, Keys):
        database.seals = Keys(database, Vault.open(folder), enabled=settings.encryption.enabled)
    return database.seals


class _Plain:
    """A connection, asked as a database is."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def query(self, sql: str, *params: object) -> list[Row]:
        found: list[Row] = self._connection.query(sql, params)
        return found


def _place(account: str, key_id: str, number: int) -> str:
    return f"version {number} of the encryption key {key_id} of {account}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
