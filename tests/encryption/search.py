"""Looks for planted words in all that lies in a data folder and in its database, however they are written there."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path

import psycopg

from tests.stores import store_at

MARK = "CANARY-5f0e1c7d93"


def canary(name: str) -> str:
    """A word that is nowhere by chance. All of them hold the same mark."""
    return f"{MARK}-{name}"


def found(home: Path) -> list[str]:
    """Where the mark stands: files, and columns of PostgreSQL."""
    return [*found_in(path for path in home.rglob("*") if path.is_file()), *_found_in_rows(home)]


def found_in(paths: Iterable[Path]) -> list[str]:
    return [str(path) for path in paths if any(form in path.read_bytes() for form in _forms())]


def _forms() -> list[bytes]:
    """As it is, in hexadecimal, and in base64 from each of three offsets, without the letters that its neighbours change."""
    mark = MARK.encode()
    shifted = (base64.b64encode(b"\0" * offset + mark)[4 if offset else 0 : -4] for offset in range(3))
    return [mark, mark.hex().encode(), *shifted]


def _found_in_rows(home: Path) -> list[str]:
    where = store_at(home)
    if isinstance(where, Path):
        return []
    with psycopg.connect(where) as connection:
        columns = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema() "
            "AND data_type IN ('text', 'bytea')"
        ).fetchall()
        return [
            f"{table}.{column}"
            for table, column in columns
            for (value,) in connection.execute(f'SELECT "{column}" FROM "{table}"'.encode()).fetchall()  # noqa: S608
            if value is not None and any(form in _bytes(value) for form in _forms())
        ]


def _bytes(value: object) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)  # type: ignore[call-overload]  # bytea
