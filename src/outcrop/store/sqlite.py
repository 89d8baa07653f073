"""SQLite: one file, WAL, every commit synced."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from outcrop.store.connection import BUSY_SECONDS, DatabaseError, IntegrityError, Row
from outcrop.store.keyfile import sync_folder


class Sqlite:
    """The file at `path`, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.name = str(path)

    def prepare(self) -> None:
        try:
            if not self._path.parent.exists():
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                # SQLite syncs the folder that its files are in, not the one that this folder is in.
                sync_folder(self._path.parent.parent)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            _write_ahead(self._path)
        except (sqlite3.Error, OSError) as problem:
            raise DatabaseError(f"The database {self.name} cannot be opened: {problem}.") from None

    def ready(self) -> None:
        """A file is always there."""

    def connect(self) -> SqliteConnection:
        return SqliteConnection(self._path)

    def close(self) -> None:
        """Its connections are all there is."""


class SqliteConnection:
    lost = False

    def __init__(self, path: Path) -> None:
        self._name = str(path)
        # Autocommit, because the module's own implicit transactions begin too late to take the writer's lock.
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        connection.row_factory = _as_dict
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        self._connection = connection

    def query(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        try:
            return self._connection.execute(sql, params).fetchall()
        except sqlite3.Error as problem:
            raise self._told(problem) from None

    def one(self, sql: str, params: Sequence[object] = ()) -> Row | None:
        try:
            row: Row | None = self._connection.execute(sql, params).fetchone()
        except sqlite3.Error as problem:
            raise self._told(problem) from None
        return row

    def execute(self, sql: str, params: Sequence[object] = ()) -> int:
        try:
            return self._connection.execute(sql, params).rowcount
        except sqlite3.Error as problem:
            raise self._told(problem) from None

    def execute_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        try:
            self._connection.executemany(sql, rows)
        except sqlite3.Error as problem:
            raise self._told(problem) from None

    def define(self, sql: str) -> None:
        self.execute(sql)

    def begin(self) -> None:
        self.execute("BEGIN IMMEDIATE")

    def begin_snapshot(self) -> None:
        self.execute("BEGIN")
        # The moment is that of the first read, not of BEGIN.
        self.one("SELECT count(*) FROM sqlite_master")

    def commit(self) -> None:
        try:
            self.execute("COMMIT")
        except BaseException:
            # A failed commit (disk full, say) leaves the transaction open on a connection that is used again.
            self.rollback()
            raise

    def rollback(self) -> None:
        # SQLite itself has rolled back after some errors.
        if self._connection.in_transaction:
            self.execute("ROLLBACK")

    def version(self) -> str:
        # It tells of the writes of *other* connections, so the one that is asked never writes.
        row = self.one("PRAGMA data_version")
        return "" if row is None else str(row["data_version"])

    def tables(self) -> set[str]:
        return {row["name"] for row in self.query("SELECT name FROM sqlite_master WHERE type = 'table'")}

    def columns(self, table: str) -> list[str]:
        return [row["name"] for row in self.query("SELECT name FROM pragma_table_info(?)", (table,))]

    def stream(self, table: str) -> Iterator[Sequence[object]]:
        cursor = self._connection.cursor()
        cursor.row_factory = None
        try:
            yield from cursor.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - a table of ours
        except sqlite3.Error as problem:
            raise self._told(problem) from None

    def drop(self, tables: Sequence[str]) -> None:
        # A table is emptied before it is dropped, and while others refer to its rows that breaks a constraint.
        with self.constraints_at_the_end():
            for table in tables:
                self.execute(f'DELETE FROM "{table}"')  # noqa: S608
            for table in tables:
                self.execute(f'DROP TABLE "{table}"')

    @contextlib.contextmanager
    def constraints_at_the_end(self) -> Iterator[None]:
        # Until the end of the transaction; SQLite switches it off by itself.
        self.execute("PRAGMA defer_foreign_keys = ON")
        yield

    def close(self) -> None:
        self._connection.close()

    def _told(self, problem: sqlite3.Error) -> DatabaseError | IntegrityError:
        if isinstance(problem, sqlite3.IntegrityError):
            return IntegrityError(str(problem))
        if getattr(problem, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            return DatabaseError(f"The database {self._name} is busy: another writer goes on for too long.")
        return DatabaseError(f"The database {self._name} cannot be used: {problem}.")


def _as_dict(cursor: sqlite3.Cursor, values: tuple[Any, ...]) -> dict[str, Any]:
    return {column[0]: value for column, value in zip(cursor.description, values, strict=True)}


def _write_ahead(path: Path) -> None:
    """The change to WAL does not wait for other processes that do the same, so it is tried again."""
    with contextlib.closing(sqlite3.connect(path, timeout=BUSY_SECONDS)) as connection:
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
