"""What SQLite and PostgreSQL have in common: one connection, its errors, and the rows that it gives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

Row: TypeAlias = Mapping[str, Any]

# How long a writer waits for the one before it.
BUSY_SECONDS = 10.0


class DatabaseError(Exception):
    """The database cannot be used; a sentence for the operator."""


class ConnectionLost(DatabaseError):
    """The connection is gone, with all that it had not committed. Another one may work."""


class IntegrityError(Exception):
    """A write broke a constraint: a name that is taken, a row that others refer to."""


class Connection(Protocol):
    """Used by one thread at a time. Raises the errors above and none of its driver's. SQL has `?` for parameters."""

    @property
    def lost(self) -> bool: ...

    def query(self, sql: str, params: Sequence[object] = ()) -> list[Row]: ...

    def one(self, sql: str, params: Sequence[object] = ()) -> Row | None: ...

    def execute(self, sql: str, params: Sequence[object] = ()) -> int:
        """The number of rows that were touched."""

    def execute_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None: ...

    def define(self, sql: str) -> None:
        """One statement of a migration, in this database's own words for types."""

    def begin(self) -> None:
        """Begin to write, as the only one who does; DatabaseError if another goes on for `BUSY_SECONDS`."""

    def begin_snapshot(self) -> None:
        """Begin to read what is there at this moment, while others write. It ends with `rollback`."""

    def commit(self) -> None:
        """On disk when it returns. After an error nothing of the transaction is kept, unless the connection was lost."""

    def rollback(self) -> None: ...

    def version(self) -> str:
        """Differs from an earlier one if anybody has committed a write in between."""

    def tables(self) -> set[str]: ...

    def columns(self, table: str) -> list[str]: ...

    def stream(self, table: str) -> Iterator[Sequence[object]]:
        """All rows of a table without having them all in memory, their values in the order of the columns."""

    def drop(self, tables: Sequence[str]) -> None:
        """With all that is in them, whatever refers to what."""

    def constraints_at_the_end(self) -> AbstractContextManager[None]:
        """Rows may come before those that they refer to, as long as all are there at the end of the transaction."""

    def close(self) -> None: ...


class Driver(Protocol):
    """Where the database is. `name` stands in sentences and holds no password."""

    @property
    def name(self) -> str: ...

    def prepare(self) -> None:
        """Make what can be made before the first connection; DatabaseError if this cannot be Outcrop's database."""

    def ready(self) -> None:
        """DatabaseError, at once, while it is known that nothing there answers."""

    def connect(self) -> Connection: ...

    def close(self) -> None: ...
