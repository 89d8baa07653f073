"""Everything that old versions of keys wrapped, wrapped anew under the newest: data keys only, no content is touched.

In small transactions, each of which leaves everything readable: stopped anywhere, it goes on the next time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from outcrop.encryption.envelope import prefix
from outcrop.encryption.keys import Key, Keys
from outcrop.store.database import Database, Row

BATCH = 200


@dataclass(frozen=True, slots=True)
class Column:
    """A column of sealed texts. `place` is filled with the values of `ids`, which name a row."""

    table: str
    name: str
    ids: tuple[str, ...]
    place: str


# Whoever seals another column adds it here; a test looks for what is missing.
COLUMNS = (
    Column("object_parts", "sealed", ("blob",), "object_parts {}"),
    *(Column("jobs", name, ("id",), f"jobs {{}} {name}") for name in ("input", "state", "result", "reason", "problem")),
    Column("job_lines", "line", ("job_id", "fence", "number"), "job_lines {} {} {}"),
    *(Column("responses", name, ("id",), f"responses {{}} {name}") for name in ("input", "response")),
    Column("evaluation_answers", "answer", ("account_id", "region", "key"), "evaluation_answers {} {} {}"),
)


def rewrap(database: Database, keys: Keys, key: Key) -> int:
    """How many were wrapped anew. Disabled if the key is."""
    key.check()
    return sum(
        _column(database, keys, key, column, old) for column in COLUMNS for old in key.versions if old < key.newest
    )


def _column(database: Database, keys: Keys, key: Key, column: Column, old: int) -> int:
    done = 0
    for rows in _batches(database, key, column, old):
        with database.transaction() as transaction:
            for row in rows:
                place = column.place.format(*(row[name] for name in column.ids))
                # What was written meanwhile stays.
                done += transaction.execute(
                    f"UPDATE {column.table} SET {column.name} = ? WHERE {_where(column)} AND {column.name} = ?",  # noqa: S608
                    keys.rewrapped(row[column.name], place, key),
                    *(row[name] for name in column.ids),
                    row[column.name],
                )
    return done


def _batches(database: Database, key: Key, column: Column, version: int) -> Iterator[Sequence[Row]]:
    while rows := _found(database, key, column, version, BATCH):
        yield rows


def _found(database: Database, key: Key, column: Column, version: int, limit: int | None) -> list[Row]:
    begin = prefix(key.id, version)
    names = ", ".join((*column.ids, column.name))
    end = "" if limit is None else f" LIMIT {limit}"
    return database.query(
        f"SELECT {names} FROM {column.table} WHERE substr({column.name}, 1, ?) = ?{end}",  # noqa: S608
        len(begin),
        begin,
    )


def _where(column: Column) -> str:
    return " AND ".join(f"{name} = ?" for name in column.ids)
