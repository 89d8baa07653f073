"""A backup: one ZIP file that SQLite and PostgreSQL both write and read.

`tables/NAME.jsonl` has a row a line, a list in the order of the columns that `manifest.json` names; bytes stand as
`{"base64": "..."}`. `key`, the key file, is there only if it was asked for. Folders of files are as `store.bundle` has them.
"""

from __future__ import annotations

import base64
import os
import shutil
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import msgspec
import orjson

from outcrop import __version__
from outcrop.store import bundle, migrate
from outcrop.store.bundle import ArchiveError, Bundle, File, Progress
from outcrop.store.connection import Connection, DatabaseError, IntegrityError
from outcrop.store.database import Database, Transaction
from outcrop.store.keyfile import KEY_BYTES, Vault, place, sync_folder

__all__ = ["ArchiveError", "Contents", "Manifest", "Table", "backup", "restore"]

# 2: with folders.
FORMAT = 2
# How often newer rows are looked at because files that older ones named went away before they could be held.
LOOKS = 20


class Contents(Protocol):
    """Files that go with the rows, into a folder of that name."""

    name: str
    absent: int

    def hold(self, connection: Connection) -> bool:
        """Make sure that they stay until `release`; False if some of what these rows name is gone already."""

    def files(self) -> Iterator[File]: ...

    def release(self) -> None: ...


class Table(msgspec.Struct, frozen=True):
    columns: tuple[str, ...]
    rows: int


class Manifest(msgspec.Struct, frozen=True):
    """`schema` is the number of the newest migration, `fingerprint` tells the key file from others without telling it."""

    format: int
    outcrop: str
    created_at: str
    schema: int
    fingerprint: str
    with_key: bool
    tables: dict[str, Table]
    folders: dict[str, Bundle] = {}

    @property
    def rows(self) -> int:
        return sum(table.rows for table in self.tables.values())


def nothing(_: int) -> None:
    """Progress that nobody watches."""


def backup(
    database: Database,
    vault: Vault,
    path: Path,
    *,
    with_key: bool,
    contents: Sequence[Contents] = (),
    total: Callable[[int], None] = nothing,
    progress: Progress = nothing,
) -> Manifest:
    """Write all rows of one moment, and the files that belong to them, to a new file that only its owner can read.

    Whatever is written meanwhile. `total` is told the bytes of all files, `progress` those that are done. ArchiveError if
    the file exists or cannot be written; DatabaseError.
    """
    try:
        with _made(path) as archive:
            schema, tables = _rows(database, archive, contents)
            total(sum(file.size for one in contents for file in one.files()))
            folders = {one.name: _folder(archive, one, progress) for one in contents}
            if with_key:
                archive.writestr("key", vault.master)
            manifest = Manifest(
                format=FORMAT,
                outcrop=__version__,
                created_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
                schema=schema,
                fingerprint=vault.fingerprint,
                with_key=with_key,
                tables=tables,
                folders=folders,
            )
            archive.writestr("manifest.json", msgspec.json.encode(manifest))
    finally:
        for one in contents:
            one.release()
    return manifest


def restore(
    database: Database,
    folder: Path,
    path: Path,
    *,
    replace: bool,
    total: Callable[[int], None] = nothing,
    progress: Progress = nothing,
) -> Manifest:
    """Put the backup's rows into the database, in one transaction, and its files and its key file into the data folder.

    `database` was opened without bringing its tables up to date; they are afterwards. With `replace` everything that it
    held is thrown away, and folders that are in the way are set aside; without, ArchiveError if there is anything.
    ArchiveError too for a file that is no whole backup, was made by a newer version, or does not go with the key file that
    is there.
    """
    migrate.check_age(database)
    with _opened(path) as (archive, manifest):
        key = archive.read("key") if manifest.with_key else None
        _check_key(folder, manifest, key, replace=replace)
        if not replace:
            _check_folders(folder, manifest)
        total(sum(one.bytes for one in manifest.folders.values()))
        with _extracted(archive, manifest, folder, progress) as ready:
            try:
                with database.transaction() as transaction:
                    _empty(transaction, database.name, replace=replace)
                    migrate.make(transaction, manifest.schema)
                    with transaction.connection.constraints_at_the_end():
                        for name, table in manifest.tables.items():
                            _fill(transaction, archive, name, table)
                    # Files without rows do no harm, if it ends here; rows without files would.
                    ready()
            except IntegrityError as problem:
                raise ArchiveError(f"{path} cannot be restored, and nothing was changed: {problem}.") from None
    migrate.migrate(database)
    if key is not None:
        place(folder, key)
    return manifest


def _rows(database: Database, archive: zipfile.ZipFile, contents: Sequence[Contents]) -> tuple[int, dict[str, Table]]:
    """Number of the newest migration, and the tables that were written: of a moment whose files are held."""
    for _ in range(LOOKS):
        with database.snapshot() as connection:
            if not all(one.hold(connection) for one in contents):
                continue
            have = connection.tables()
            newest = connection.one("SELECT max(number) AS newest FROM migrations")
            assert newest is not None
            tables = {}
            for name in migrate.table_names():
                if name in have:
                    columns = tuple(connection.columns(name))
                    tables[name] = Table(columns, _write(archive, name, connection.stream(name)))
            return newest["newest"], tables
    raise ArchiveError("Objects are deleted faster than they can be held for the backup. Try again later.")


def _folder(archive: zipfile.ZipFile, contents: Contents, progress: Progress) -> Bundle:
    made = bundle.write(archive, contents.name, contents.files(), progress)
    return msgspec.structs.replace(made, absent=contents.absent)


def _check_folders(folder: Path, manifest: Manifest) -> None:
    for name in manifest.folders:
        if _has_files(folder / name):
            raise ArchiveError(
                f"{folder / name} holds files already, and nothing was changed. Restore into an empty data folder, or "
                "have it set aside with --replace."
            )


@contextmanager
def _extracted(
    archive: zipfile.ZipFile, manifest: Manifest, folder: Path, progress: Progress
) -> Iterator[Callable[[], None]]:
    """All files beside their places; the function puts the folders there. If anything fails, all is as it was."""
    aside = {name: folder / f".{name}.restored-{os.getpid()}" for name in manifest.folders}
    undo: list[Callable[[], object]] = []

    def ready() -> None:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        for name, made in aside.items():
            target, old = folder / name, folder / f"{name}.before-{stamp}"
            if target.exists():
                target.rename(old)
                undo.append(partial(old.rename, target))
            made.rename(target)
            undo.append(partial(target.rename, made))
        sync_folder(folder)

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name, one in manifest.folders.items():
            aside[name].mkdir(mode=0o700)
            bundle.extract(archive, name, one, aside[name], progress)
        yield ready
    except BaseException:
        for step in reversed(undo):
            step()
        raise
    else:
        for name in aside:
            for old in folder.glob(f"{name}.before-*"):
                if not _has_files(old):
                    shutil.rmtree(old)
    finally:
        for made in aside.values():
            shutil.rmtree(made, ignore_errors=True)


def _has_files(folder: Path) -> bool:
    return any(path.is_file() for path in folder.rglob("*"))


@contextmanager
def _made(path: Path) -> Iterator[zipfile.ZipFile]:
    """Written aside and renamed when it is whole and on disk."""
    aside = path.with_name(f".{path.name}.part-{os.getpid()}")
    if path.exists():
        raise ArchiveError(f"{path} exists already; a backup is never written over.")
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                    yield archive
                file.flush()
                os.fsync(file.fileno())
            aside.rename(path)
            sync_folder(path.parent)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as problem:
        raise ArchiveError(f"{path} cannot be written: {problem.strerror}.") from None


@contextmanager
def _opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, Manifest]]:
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = msgspec.json.decode(archive.read("manifest.json"), type=Manifest)
            _check(path, manifest)
            yield archive, manifest
    except OSError as problem:
        raise ArchiveError(f"{path} cannot be read: {problem.strerror or problem}.") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, msgspec.DecodeError, orjson.JSONDecodeError) as problem:
        raise ArchiveError(f"{path} is no backup, or is damaged: {problem}") from None


def _check(path: Path, manifest: Manifest) -> None:
    if manifest.format > FORMAT or manifest.schema > max(migrate.scripts()):
        raise ArchiveError(
            f"{path} was made by a newer version, Outcrop {manifest.outcrop}; restore it with that one or one after it."
        )
    if strange := set(manifest.tables) - set(migrate.table_names()):
        raise ArchiveError(f"{path} is no backup, or is damaged: it has a table {min(strange)}.")


def _check_key(folder: Path, manifest: Manifest, key: bytes | None, *, replace: bool) -> None:
    """What was encrypted with one key file is lost with another."""
    if key is not None and (len(key) != KEY_BYTES or Vault(key).fingerprint != manifest.fingerprint):
        raise ArchiveError("The backup is damaged: its key file is not the one that it was made with.")
    path = folder / "key"
    if not path.exists() or Vault.open(folder).fingerprint == manifest.fingerprint:
        return
    if key is None:
        raise ArchiveError(
            f"{path} is not the key file that the backup was made with, and the backup holds none. "
            "Put the right one there first: without it, what is encrypted in the backup is lost."
        )
    if not replace:
        raise ArchiveError(f"{path} is another key file than the backup's. With --replace it is set aside.")


def _empty(transaction: Transaction, name: str, *, replace: bool) -> None:
    connection = transaction.connection
    have = connection.tables()
    ours = [table for table in migrate.table_names() if table in have]
    if not replace:
        for table in ours:
            if connection.one(f'SELECT 1 AS one FROM "{table}" LIMIT 1') is not None:  # noqa: S608 - ours
                raise ArchiveError(
                    f"The database {name} holds data already ({table}), and nothing was changed. "
                    "Restore into an empty one, or throw away what it holds with --replace."
                )
    connection.drop([table for table in (*reversed(ours), "migrations") if table in have])


def _write(archive: zipfile.ZipFile, name: str, rows: Iterator[Sequence[object]]) -> int:
    count = 0
    with archive.open(_member(name), "w", force_zip64=True) as file:
        for row in rows:
            file.write(orjson.dumps(row, default=_bytes, option=orjson.OPT_APPEND_NEWLINE))
            count += 1
    return count


def _fill(transaction: Transaction, archive: zipfile.ZipFile, name: str, table: Table) -> None:
    if set(transaction.connection.columns(name)) != set(table.columns):
        raise ArchiveError(f"The backup is damaged: {name} has other columns than it should.")
    names = ", ".join(f'"{column}"' for column in table.columns)
    marks = ", ".join("?" for _ in table.columns)
    counted = _Counted(archive, name, table)
    try:
        transaction.connection.execute_many(f'INSERT INTO "{name}" ({names}) VALUES ({marks})', counted)  # noqa: S608
    except DatabaseError as problem:
        raise ArchiveError(f"The table {name} cannot be restored, and nothing was changed: {problem}") from None
    if counted.count != table.rows:
        raise ArchiveError(f"The backup is damaged: {name} has {counted.count} rows instead of {table.rows}.")


class _Counted:
    """The rows of one table, counted as they are read."""

    def __init__(self, archive: zipfile.ZipFile, name: str, table: Table) -> None:
        self._archive, self._name, self._width = archive, name, len(table.columns)
        self.count = 0

    def __iter__(self) -> Iterator[Sequence[object]]:
        with self._archive.open(_member(self._name)) as file:
            for line in file:
                row = orjson.loads(line)
                if not isinstance(row, list) or len(row) != self._width:
                    raise ArchiveError(f"The backup is damaged: line {self.count + 1} of {self._name} is no row.")
                self.count += 1
                yield [_value(value) for value in row]


def _member(table: str) -> str:
    return f"tables/{table}.jsonl"


def _bytes(value: Any) -> dict[str, str]:
    return {"base64": base64.b64encode(value).decode()}


def _value(value: Any) -> object:
    if isinstance(value, dict):
        try:
            return base64.b64decode(value["base64"], validate=True)
        except (KeyError, TypeError, ValueError):
            raise ArchiveError("The backup is damaged: a value is neither text, number nor bytes.") from None
    return value
