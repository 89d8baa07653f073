"""The database: SQLite in the data folder, or PostgreSQL where the settings name one, behind one class.

SQL is written once, with `?` placeholders, INTEGER (eight bytes), REAL, TEXT and BYTEA columns and ISO-8601 UTC texts for
times. Both databases understand the rest if it keeps to this: `ON CONFLICT ... DO UPDATE` and no `INSERT OR`; no LIKE,
which heeds case in one of them only; a text is compared with a text and a number with a number; no ids that the database
makes. Texts are sorted by code points. An answered write is on disk.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from outcrop.store import migrate
from outcrop.store.connection import Connection, ConnectionLost, DatabaseError, Driver, IntegrityError, Row
from outcrop.store.seals import Seals

__all__ = ["ConnectionLost", "Database", "DatabaseError", "IntegrityError", "Row", "Transaction"]

T = TypeVar("T")


class Transaction:
    """What one transaction may do. Valid only inside its `with` block.

    After a statement that failed nothing more can be done, and nothing is kept: PostgreSQL would not go on.
    """

    def __init__(self, connection: Connection, seals: Seals | None = None) -> None:
        self._connection = connection
        self._failed = False
        self.seals = seals

    def execute(self, sql: str, *params: object) -> int:
        """Run one writing statement; the number of rows it touched. IntegrityError on a broken constraint."""
        return self._tried(lambda connection: connection.execute(sql, params))

    def query(self, sql: str, *params: object) -> list[Row]:
        return self._tried(lambda connection: connection.query(sql, params))

    def one(self, sql: str, *params: object) -> Row | None:
        return self._tried(lambda connection: connection.one(sql, params))

    @property
    def connection(self) -> Connection:
        """For migrations and the archive."""
        self.check()
        return self._connection

    def check(self) -> None:
        if self._failed:
            raise RuntimeError("A statement of this transaction failed before, and nothing of it is kept.")

    def _tried(self, ask: Callable[[Connection], T]) -> T:
        self.check()
        try:
            return ask(self._connection)
        except (DatabaseError, IntegrityError):
            self._failed = True
            raise


class Database:
    """Safe to use from any thread and from several processes at once. Make it with `Database.open`.

    `seals` encrypts content that rooms put into rows; set once, by `encryption.keys.attached`.
    """

    def __init__(self, driver: Driver) -> None:
        self.seals: Seals | None = None
        self._driver = driver
        self._idle: list[Connection] = []
        self._own = threading.local()
        self._closed = False
        self._watch = driver.connect()
        self._watch_lock = threading.Lock()

    @classmethod
    def open(cls, where: Path | str, *, up_to_date: bool = True) -> Database:
        """Open or create the SQLite file `where`, or open the PostgreSQL database of that URL; make its tables.

        `up_to_date`: without it the tables are left as they are. Raises DatabaseError if it cannot be reached, is no
        database, or was written by a newer version.
        """
        driver = _driver(where)
        try:
            driver.prepare()
            database = cls(driver)
        except DatabaseError:
            driver.close()
            raise
        if up_to_date:
            try:
                migrate.migrate(database)
            except (IntegrityError, DatabaseError):
                database.close()
                raise
        return database

    @property
    def name(self) -> str:
        """Its path, or its URL without the password."""
        return self._driver.name

    def query(self, sql: str, *params: object) -> list[Row]:
        """All rows of a reading statement; inside a transaction of this thread, as that transaction sees them."""
        return self._read(lambda connection: connection.query(sql, params))

    def one(self, sql: str, *params: object) -> Row | None:
        """The first row, or None."""
        return self._read(lambda connection: connection.one(sql, params))

    def tables(self) -> set[str]:
        return self._read(lambda connection: connection.tables())

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """One writer at a time: commits at the end of the block, rolls back on any exception.

        Never await inside the block: the loop's other tasks share its thread, and their writes would wait for this one.
        """
        if self._transaction is not None:
            raise RuntimeError("Transactions do not nest.")
        connection, _ = self._asked(lambda connection: connection.begin())
        transaction = self._own.transaction = Transaction(connection, self.seals)
        try:
            yield transaction
            transaction.check()
        except BaseException:
            connection.rollback()
            raise
        else:
            connection.commit()
        finally:
            self._own.transaction = None
            self._put_back(connection)

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """A connection that reads the whole database as it is now, whatever is written meanwhile."""
        connection, _ = self._asked(lambda connection: connection.begin_snapshot())
        try:
            yield connection
        finally:
            connection.rollback()
            self._put_back(connection)

    def version(self) -> str:
        """A text that differs from an earlier one if any process, this one included, has written in between."""
        with self._watch_lock:
            if self._closed:
                raise DatabaseError("The database is closed.")
            self._driver.ready()
            try:
                return self._watch.version()
            except ConnectionLost:
                self._watch = self._driver.connect()
                return self._watch.version()

    def close(self) -> None:
        self._closed = True
        with self._watch_lock:
            self._watch.close()
        self._forget_idle()
        self._driver.close()

    @property
    def _transaction(self) -> Transaction | None:
        """The one that this thread is in."""
        own: Transaction | None = getattr(self._own, "transaction", None)
        return own

    def _read(self, ask: Callable[[Connection], T]) -> T:
        if (own := self._transaction) is not None:
            return ask(own.connection)
        connection, found = self._asked(ask)
        self._put_back(connection)
        return found

    def _asked(self, ask: Callable[[Connection], T]) -> tuple[Connection, T]:
        """A connection and its answer. One that was lost while it lay idle is replaced, once, and so are its like."""
        connection = self._take()
        try:
            return connection, ask(connection)
        except ConnectionLost:
            connection.close()
            self._forget_idle()
        except BaseException:
            self._put_back(connection)
            raise
        connection = self._driver.connect()
        try:
            return connection, ask(connection)
        except BaseException:
            self._put_back(connection)
            raise

    def _take(self) -> Connection:
        """An idle connection (list operations are atomic) or a new one."""
        if self._closed:
            raise DatabaseError("The database is closed.")
        self._driver.ready()
        try:
            return self._idle.pop()
        except IndexError:
            return self._driver.connect()

    def _put_back(self, connection: Connection) -> None:
        if self._closed or connection.lost:
            connection.close()
        else:
            self._idle.append(connection)

    def _forget_idle(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().close()


def _driver(where: Path | str) -> Driver:
    if isinstance(where, str) and where.startswith(("postgresql://", "postgres://")):
        try:
            from outcrop.store.postgres import Postgres
        except ImportError:
            raise DatabaseError("PostgreSQL needs one more package. Run: pip install 'outcrop[postgres]'") from None
        return Postgres(where)
    from outcrop.store.sqlite import Sqlite

    return Sqlite(Path(where))
