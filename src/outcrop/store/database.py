"""The database: SQLite today, and a surface small enough that PostgreSQL can stand behind the same class.

SQL is written with `?` placeholders, TEXT, INTEGER and BYTEA columns and ISO-8601 UTC texts for times; nothing here
or in the migrations leans on SQLite's own dialect. An answered write is on disk: WAL with `synchronous=FULL` syncs
every commit.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias

Row: TypeAlias = Mapping[str, Any]

BUSY_SECONDS = 10.0


class DatabaseError(Exception):
    """The database cannot be used; a sentence for the operator."""


class IntegrityError(Exception):
    """A write broke a constraint: a name that is taken, a row that others refer to."""


class Transaction:
    """What one transaction may do. Valid only inside its `with` block."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def execute(self, sql: str, *params: object) -> int:
        """Run one writing statement; the number of rows it touched. IntegrityError on a broken constraint."""
        try:
            return self._connection.execute(sql, params).rowcount
        except sqlite3.IntegrityError as problem:
            raise IntegrityError(str(problem)) from None

    def query(self, sql: str, *params: object) -> list[Row]:
        return self._connection.execute(sql, params).fetchall()

    def one(self, sql: str, *params: object) -> Row | None:
        row: Row | None = self._connection.execute(sql, params).fetchone()
        return row


class Database:
    """Safe to use from any thread and from several processes at once. Make it with `Database.open`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._idle: list[sqlite3.Connection] = []
        self._own = threading.local()
        self._closed = False
        # `data_version` tells of the writes of *other* connections, so the one that asks never writes.
        self._watch = _connect(path)
        self._watch_lock = threading.Lock()

    @classmethod
    def open(cls, path: Path) -> Database:
        """Open or create the file at `path`, readable by its owner only, and bring its tables up to date.

        Raises DatabaseError if the file is not a database or was written by a newer version.
        """
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        try:
            _write_ahead(path)
            database = cls(path)
            database._migrate()
        except sqlite3.DatabaseError as problem:
            raise DatabaseError(f"The database {path} cannot be opened: {problem}.") from None
        return database

    def query(self, sql: str, *params: object) -> list[Row]:
        """All rows of a reading statement; inside a transaction of this thread, as that transaction sees them."""
        with self._connection() as connection:
            return connection.execute(sql, params).fetchall()

    def one(self, sql: str, *params: object) -> Row | None:
        """The first row, or None."""
        with self._connection() as connection:
            row: Row | None = connection.execute(sql, params).fetchone()
            return row

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """One writer at a time: commits at the end of the block, rolls back on any exception.

        Never await inside the block: the loop's other tasks share its thread, and their writes would wait for this one.
        """
        if getattr(self._own, "connection", None) is not None:
            raise RuntimeError("Transactions do not nest.")
        with self._connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            self._own.connection = connection
            try:
                yield Transaction(connection)
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            else:
                _commit(connection)
            finally:
                self._own.connection = None

    def version(self) -> int:
        """A number that differs from an earlier one if any process, this one included, has written in between."""
        with self._watch_lock:
            (number,) = self._watch.execute("PRAGMA data_version").fetchone().values()
            return int(number)

    def close(self) -> None:
        self._closed = True
        self._watch.close()
        while self._idle:
            self._idle.pop().close()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """This thread's open transaction's connection, or an idle one (list operations are atomic), or a new one."""
        if (own := getattr(self._own, "connection", None)) is not None:
            yield own
            return
        if self._closed:
            raise DatabaseError("The database is closed.")
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = _connect(self._path)
        try:
            yield connection
        finally:
            if self._closed:
                connection.close()
            else:
                self._idle.append(connection)

    def _migrate(self) -> None:
        scripts = _migrations()
        with self.transaction() as transaction:
            transaction.execute(
                "CREATE TABLE IF NOT EXISTS migrations "
                "(number INTEGER PRIMARY KEY, name TEXT NOT NULL, applied_at TEXT NOT NULL)"
            )
        self._refuse_newer(max(scripts))
        for number, (name, script) in sorted(scripts.items()):
            self._apply(number, name, script)

    def _refuse_newer(self, newest: int) -> None:
        row = self.one("SELECT max(number) AS number FROM migrations")
        if row is not None and (row["number"] or 0) > newest:
            raise DatabaseError(
                f"The database {self._path} was written by a newer version of Outcrop; this one cannot use it."
            )

    def _apply(self, number: int, name: str, script: str) -> None:
        """One transaction a script; several processes may start at once, so whether it is due is asked inside."""
        with self.transaction() as transaction:
            if transaction.one("SELECT 1 AS done FROM migrations WHERE number = ?", number):
                return
            for statement in _statements(script):
                transaction.execute(statement)
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            transaction.execute("INSERT INTO migrations (number, name, applied_at) VALUES (?, ?, ?)", number, name, now)


def _connect(path: Path) -> sqlite3.Connection:
    # Autocommit, because the module's own implicit transactions begin too late to take the writer's lock.
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    connection.row_factory = _as_dict
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _as_dict(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, values, strict=True)}


def _write_ahead(path: Path) -> None:
    """The change to WAL does not wait for other processes that do the same, so it is tried again."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS)
    try:
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as problem:
                if "locked" not in str(problem) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return
    finally:
        connection.close()


def _commit(connection: sqlite3.Connection) -> None:
    try:
        connection.execute("COMMIT")
    except BaseException as problem:
        # A failed commit (disk full, say) leaves the transaction open on a connection that goes back to the pool.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if isinstance(problem, sqlite3.IntegrityError):
            raise IntegrityError(str(problem)) from None
        raise


def _migrations() -> dict[int, tuple[str, str]]:
    folder = resources.files("outcrop.store") / "migrations"
    files = [entry for entry in folder.iterdir() if entry.name.endswith(".sql")]
    return {int(entry.name.partition("_")[0]): (entry.name, entry.read_text("utf-8")) for entry in files}


def _statements(script: str) -> Iterator[str]:
    """`executescript` would commit first, and a migration must be one transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        raise DatabaseError(f"A migration does not end with a semicolon: {statement.strip()[:80]}")
