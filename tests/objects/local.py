"""A data folder with one account, without a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from outcrop.encryption.keys import Keys
from outcrop.objects.local.store import LocalStore
from outcrop.store.database import Database
from outcrop.store.keyfile import Vault
from tests.stores import store_at

ACCOUNT = "111122223333"


@contextmanager
def database_in(home: Path) -> Iterator[Database]:
    database = Database.open(store_at(home))
    with database.transaction() as transaction:
        for account in (ACCOUNT, "999999999999"):
            transaction.execute("INSERT INTO accounts (id, created_at) VALUES (?, ?)", account, "2026-01-01T00:00:00Z")
    try:
        yield database
    finally:
        database.close()


@contextmanager
def local_store(home: Path) -> Iterator[LocalStore]:
    with database_in(home) as database:
        yield LocalStore(database, home / "objects", keys=Keys(database, Vault.open(home)))


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
