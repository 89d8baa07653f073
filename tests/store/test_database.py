"""SQLite keeps the contract, and what only a file has."""

from __future__ import annotations

import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from outcrop.store import migrate, sqlite
from outcrop.store.database import Database, DatabaseError
from tests.contracts.store import *  # noqa: F403 - the suite
from tests.contracts.store import accounts, add, database

__all__ = ["database"]


@pytest.fixture
def where(tmp_path: Path) -> Path:
    return tmp_path / "home" / "outcrop.db"


def test_version_sees_the_writes_of_another_program(where: Path, database: Database) -> None:
    before = database.version()
    script = (
        "import sqlite3, sys; connection = sqlite3.connect(sys.argv[1]); "
        "connection.execute(\"INSERT INTO accounts (id, created_at) VALUES ('9', '')\"); connection.commit()"
    )
    subprocess.run([sys.executable, "-c", script, str(where)], check=True)
    assert database.version() != before
    assert accounts(database) == ["9"]


def test_commits_are_synced(database: Database) -> None:
    assert database.one("PRAGMA synchronous") == {"synchronous": 2}
    assert database.one("PRAGMA journal_mode") == {"journal_mode": "wal"}
    add(database, "1")
    assert database.one("PRAGMA integrity_check") == {"integrity_check": "ok"}


def test_only_the_owner_reads_the_file(where: Path, database: Database) -> None:
    add(database, "1")
    for file in where.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE(where.parent.stat().st_mode) == 0o700


def test_a_writer_that_waited_too_long_is_told(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "BUSY_SECONDS", 0.1)
    database = Database.open(where)
    told: list[str] = []

    def write() -> None:
        with pytest.raises(DatabaseError) as caught:
            add(database, "2")
        told.append(str(caught.value))

    with database.transaction() as transaction:
        transaction.execute("INSERT INTO accounts (id, created_at) VALUES ('1', '')")
        writer = threading.Thread(target=write)
        writer.start()
        writer.join()
    assert told == [f"The database {where} is busy: another writer goes on for too long."]
    assert accounts(database) == ["1"]
    database.close()


def test_a_file_that_is_no_database_is_refused(where: Path) -> None:
    where.parent.mkdir()
    where.write_bytes(b"this is not a database, however long it may be" * 100)
    with pytest.raises(DatabaseError, match="not a database"):
        Database.open(where)


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DatabaseError, match=r"file/home/outcrop\.db cannot be opened"):
        Database.open(tmp_path / "file" / "home" / "outcrop.db")


def test_a_migration_must_end() -> None:
    with pytest.raises(DatabaseError, match="semicolon"):
        list(migrate.statements("CREATE TABLE a (b TEXT);\nCREATE TABLE c (d TEXT)"))


def test_nothing_of_postgresql_is_imported(where: Path) -> None:
    script = (
        "import sys; from outcrop.store.database import Database; Database.open(sys.argv[1]); "
        "print(sorted(name for name in sys.modules if 'psycopg' in name or name.endswith('store.postgres')))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(where)], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\n"
