"""Migrations: numbered SQL files, each applied once and in one transaction. One that was released is never changed."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from importlib import resources
from typing import TYPE_CHECKING

from outcrop.store.connection import DatabaseError

if TYPE_CHECKING:
    from outcrop.store.database import Database, Transaction

_TABLE = re.compile(r"^\s*(?:CREATE TABLE|ALTER TABLE \w+ RENAME TO)\s+(?:IF NOT EXISTS\s+)?(\w+)", re.I | re.M)

_RECORD = (
    "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL)"
)


def migrate(database: Database) -> None:
    """Bring the tables up to date; DatabaseError if a newer version wrote them. Stopped anywhere, it goes on the next time.

    Several processes may do it at once.
    """
    check_age(database)
    for number in sorted(set(scripts()) - applied(database)):
        with database.transaction() as transaction:
            transaction.connection.define(_RECORD)
            # Another process may have done it since.
            if transaction.one("SELECT 1 AS done FROM migrations WHERE number = ?", number) is None:
                apply(transaction, number)


def check_age(database: Database) -> None:
    """DatabaseError if a newer version wrote the database."""
    if max(applied(database), default=0) > max(scripts()):
        raise DatabaseError(
            f"The database {database.name} was written by a newer version of Outcrop; this one cannot use it."
        )


def make(transaction: Transaction, newest: int) -> None:
    """All tables as they were with the migration `newest`, in a database that has none."""
    transaction.connection.define(_RECORD)
    for number in sorted(scripts()):
        if number <= newest:
            apply(transaction, number)


def apply(transaction: Transaction, number: int) -> None:
    name, script = scripts()[number]
    for statement in statements(script):
        transaction.connection.define(statement)
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    transaction.execute("INSERT INTO migrations (number, name, applied_at) VALUES (?, ?, ?)", number, name, now)


def applied(database: Database) -> set[int]:
    """The numbers of the migrations that the database has had."""
    if "migrations" not in database.tables():
        return set()
    return {row["number"] for row in database.query("SELECT number FROM migrations")}


def scripts() -> dict[int, tuple[str, str]]:
    """Number -> name and SQL."""
    folder = resources.files("outcrop.store") / "migrations"
    files = [entry for entry in folder.iterdir() if entry.name.endswith(".sql")]
    return {int(entry.name.partition("_")[0]): (entry.name, entry.read_text("utf-8")) for entry in files}


def table_names() -> list[str]:
    """Every table that any migration ever made, in that order; others in the same database are not ours."""
    ordered = sorted(scripts().items())
    return list(dict.fromkeys(name for _, (_, script) in ordered for name in _TABLE.findall(script)))


def statements(script: str) -> Iterator[str]:
    """`executescript` would commit first, and a migration must be one transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        raise DatabaseError(f"A migration does not end with a semicolon: {statement.strip()[:80]}")
