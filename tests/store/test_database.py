from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from outcrop.store import database as module
from outcrop.store.database import Database, DatabaseError, IntegrityError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "outcrop.db"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    opened = Database.open(path)
    yield opened
    opened.close()


def add(database: Database, *ids: str) -> None:
    with database.transaction() as transaction:
        for account in ids:
            transaction.execute("INSERT INTO accounts (id, created_at) VALUES (?, ?)", account, "2026-01-01T00:00:00Z")


def accounts(database: Database) -> list[str]:
    return [row["id"] for row in database.query("SELECT id FROM accounts ORDER BY id")]


def test_what_is_written_is_read(database: Database) -> None:
    add(database, "1", "2")
    assert accounts(database) == ["1", "2"]
    assert database.one("SELECT id, created_at FROM accounts WHERE id = ?", "2") == {
        "id": "2",
        "created_at": "2026-01-01T00:00:00Z",
    }
    assert database.one("SELECT id FROM accounts WHERE id = ?", "3") is None


def test_execute_tells_how_many_rows_it_touched(database: Database) -> None:
    add(database, "1", "2")
    with database.transaction() as transaction:
        assert transaction.execute("DELETE FROM accounts WHERE id = ?", "1") == 1
        assert transaction.execute("DELETE FROM accounts WHERE id = ?", "1") == 0
        assert transaction.one("SELECT id FROM accounts") == {"id": "2"}
        assert transaction.query("SELECT id FROM accounts") == [{"id": "2"}]


def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    def attempt() -> None:
        with database.transaction() as transaction:
            transaction.execute("INSERT INTO accounts VALUES ('1', '')")
            assert accounts(database) == ["1"]
            raise KeyError

    with pytest.raises(KeyError):
        attempt()
    assert accounts(database) == []
    add(database, "2")
    assert accounts(database) == ["2"]


def test_broken_constraints_have_their_own_error(database: Database) -> None:
    add(database, "1")
    with pytest.raises(IntegrityError):
        add(database, "1")
    with pytest.raises(IntegrityError, match="FOREIGN KEY"), database.transaction() as transaction:
        transaction.execute("INSERT INTO users VALUES ('u', 'nobody', 'x', '')")
    assert accounts(database) == ["1"]


def test_transactions_do_not_nest(database: Database) -> None:
    with database.transaction(), pytest.raises(RuntimeError, match="nest"), database.transaction():
        raise AssertionError("unreachable")
    add(database, "1")
    assert accounts(database) == ["1"]


def test_one_threads_transaction_is_not_seen_by_another(database: Database) -> None:
    seen: list[list[str]] = []
    with database.transaction() as transaction:
        transaction.execute("INSERT INTO accounts VALUES ('1', '')")
        reader = threading.Thread(target=lambda: seen.append(accounts(database)))
        reader.start()
        reader.join()
    assert seen == [[]]
    assert accounts(database) == ["1"]


def test_threads_that_write_at_once_all_succeed(database: Database) -> None:
    def write(thread: int) -> None:
        for number in range(10):
            add(database, f"{thread}-{number}")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(accounts(database)) == 80


def test_version_changes_with_every_write_and_only_then(path: Path, database: Database) -> None:
    before = database.version()
    accounts(database)
    assert database.version() == before
    add(database, "1")
    own = database.version()
    assert own != before
    other = Database.open(path)
    assert database.version() == own
    add(other, "2")
    other.close()
    assert database.version() != own


def test_version_sees_the_writes_of_another_process(path: Path, database: Database) -> None:
    before = database.version()
    script = (
        "import sqlite3, sys; connection = sqlite3.connect(sys.argv[1]); "
        "connection.execute(\"INSERT INTO accounts VALUES ('9', '')\"); connection.commit()"
    )
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)
    assert database.version() != before
    assert accounts(database) == ["9"]


WRITER = """
import sys
from pathlib import Path
from outcrop.store.database import Database
database = Database.open(Path(sys.argv[1]))
number = 0
while True:
    with database.transaction() as transaction:
        transaction.execute("INSERT INTO accounts VALUES (?, '')", str(number))
    print(number, flush=True)
    number += 1
"""


def test_an_answered_write_survives_kill_9(path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    answered = [process.stdout.readline().strip() for _ in range(50)]
    os.kill(process.pid, signal.SIGKILL)
    answered += process.stdout.read().split()
    process.stdout.close()
    assert process.wait() == -signal.SIGKILL
    database = Database.open(path)
    kept = accounts(database)
    assert set(answered) <= set(kept)
    # At most the one that was committed and not yet reported.
    assert len(kept) - len(answered) in (0, 1)
    assert database.one("PRAGMA integrity_check") == {"integrity_check": "ok"}
    database.close()


def test_commits_are_synced(database: Database) -> None:
    assert database.one("PRAGMA synchronous") == {"synchronous": 2}
    assert database.one("PRAGMA journal_mode") == {"journal_mode": "wal"}


def test_only_the_owner_reads_the_file(path: Path, database: Database) -> None:
    add(database, "1")
    for file in path.parent.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_migrations_are_applied_once_and_recorded(path: Path, database: Database) -> None:
    recorded = database.query("SELECT number, name FROM migrations ORDER BY number")
    assert recorded[0] == {"number": 1, "name": "0001_identity.sql"}
    Database.open(path).close()
    assert database.query("SELECT number, name FROM migrations ORDER BY number") == recorded


def test_a_broken_migration_leaves_nothing_behind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = module._migrations()
    broken = {**good, 9001: ("9001_x.sql", "CREATE TABLE half (a TEXT);\nINSERT INTO nowhere VALUES (1);\n")}
    monkeypatch.setattr(module, "_migrations", lambda: broken)
    with pytest.raises(DatabaseError, match="nowhere"):
        Database.open(path)
    monkeypatch.setattr(module, "_migrations", lambda: good)
    database = Database.open(path)
    assert database.query("SELECT number FROM migrations WHERE number = 9001") == []
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        database.query("SELECT * FROM half")
    database.close()


def test_a_newer_database_is_refused(path: Path, database: Database) -> None:
    with database.transaction() as transaction:
        transaction.execute("INSERT INTO migrations VALUES (9999, 'future.sql', '')")
    with pytest.raises(DatabaseError, match="newer version"):
        Database.open(path)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is not a database, however long it may be" * 100)
    with pytest.raises(DatabaseError, match="not a database"):
        Database.open(path)


def test_a_migration_must_end() -> None:
    with pytest.raises(DatabaseError, match="semicolon"):
        list(module._statements("CREATE TABLE a (b TEXT);\nCREATE TABLE c (d TEXT)"))


def test_a_closed_database_says_so(path: Path) -> None:
    database = Database.open(path)
    database.close()
    with pytest.raises(DatabaseError, match="closed"):
        database.query("SELECT 1")


def test_processes_that_open_a_new_database_at_once_all_succeed(path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from outcrop.store.database import Database; "
        "Database.open(Path(sys.argv[1]))"
    )
    processes = [subprocess.Popen([sys.executable, "-c", script, str(path)]) for _ in range(6)]
    assert [process.wait() for process in processes] == [0] * 6
    database = Database.open(path)
    assert database.query("SELECT count(*) AS n FROM migrations WHERE number = 1") == [{"n": 1}]
    database.close()
