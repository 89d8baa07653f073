"""What both databases keep. A test module for one gives the fixture `where` and imports these tests with `*`.

`where` is a place for a database that is not there yet.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from outcrop.store import migrate
from outcrop.store.connection import Connection
from outcrop.store.database import Database, DatabaseError, IntegrityError


@pytest.fixture
def database(where: Path | str) -> Iterator[Database]:
    opened = Database.open(where)
    yield opened
    opened.close()


@pytest.fixture
def samples(database: Database) -> Database:
    """With a table of all types."""
    with database.transaction() as transaction:
        transaction.connection.define(
            "CREATE TABLE samples (id INTEGER PRIMARY KEY, words TEXT, number INTEGER, share REAL, raw BYTEA)"
        )
    return database


def add(database: Database, *ids: str) -> None:
    with database.transaction() as transaction:
        for account in ids:
            transaction.execute("INSERT INTO accounts (id, created_at) VALUES (?, ?)", account, "2026-01-01T00:00:00Z")


def accounts(database: Database) -> list[str]:
    return [row["id"] for row in database.query("SELECT id FROM accounts ORDER BY id")]


def in_threads(count: int, work: Callable[[int], None]) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


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


AWKWARD = ["", " ", "'", "''; DROP TABLE samples; --", "\\", "\\'", "100 %", "%s", "?", "a\0b", "\ue000", "\ue000\ue001\0",
           "\ue001", "ß😀\uffff", "line\r\nline"]  # fmt: skip


@hypothesis_settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(st.sampled_from(AWKWARD), st.text(max_size=40)),
    st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1)),
    st.one_of(st.none(), st.floats(allow_nan=False)),
    st.one_of(st.none(), st.binary(max_size=40)),
)
def test_every_value_comes_back(
    samples: Database, words: str, number: int | None, share: float | None, raw: bytes | None
) -> None:
    with samples.transaction() as transaction:
        transaction.execute("DELETE FROM samples")
        transaction.execute("INSERT INTO samples VALUES (1, ?, ?, ?, ?)", words, number, share, raw)
    found = samples.one("SELECT words, number, share, raw FROM samples WHERE words = ?", words)
    assert found == {"words": words, "number": number, "share": share, "raw": raw}


def test_a_placeholder_is_one_only_where_it_stands_free(database: Database) -> None:
    row = database.one("SELECT '?' || ? AS a, '%s %' AS b, 7 % 4 AS \"c?\" -- what?\n/* ? */", "x")
    assert row == {"a": "?x", "b": "%s %", "c?": 3}


def test_a_parameter_may_be_none_anywhere(samples: Database) -> None:
    with samples.transaction() as transaction:
        transaction.execute("INSERT INTO samples (id, words) VALUES (?, ?)", 1, None)
    wanted = "SELECT id FROM samples WHERE (? IS NULL OR words = ?) AND words IS NULL"
    assert samples.query(wanted, None, None) == [{"id": 1}]
    assert samples.query(wanted, "x", "x") == []


def test_texts_are_sorted_by_their_code_points(samples: Database) -> None:
    words = ["a", "B", "b", "A", "_", "-", "é", "z", "Z", "1", "10", "2", "\uffff", "😀", "a b", "a-b", "ab"]
    with samples.transaction() as transaction:
        for number, word in enumerate(words):
            transaction.execute("INSERT INTO samples (id, words) VALUES (?, ?)", number, word)
    assert [row["words"] for row in samples.query("SELECT words FROM samples ORDER BY words")] == sorted(words)
    assert samples.one("SELECT count(*) AS n FROM samples WHERE words < ?", "a") == {
        "n": len([w for w in words if w < "a"])
    }


def test_numbers_are_numbers(samples: Database) -> None:
    with samples.transaction() as transaction:
        for number, value in enumerate((2**62, 5, True, False)):
            transaction.execute("INSERT INTO samples (id, number, share) VALUES (?, ?, ?)", number, value, 0.5)
    row = samples.one("SELECT sum(number) AS total, count(*) AS n, sum(share) AS share, 1 < 2 AS truth FROM samples")
    assert row == {"total": 2**62 + 6, "n": 4, "share": 2.0, "truth": 1}
    assert {type(value) for value in row.values()} == {int, float}


def test_an_insert_can_become_an_update(samples: Database) -> None:
    for word in ("a", "b"):
        with samples.transaction() as transaction:
            transaction.execute(
                "INSERT INTO samples (id, words) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET words = excluded.words",
                1,
                word,
            )
    assert samples.query("SELECT id, words FROM samples") == [{"id": 1, "words": "b"}]


def test_a_failed_transaction_leaves_nothing(database: Database) -> None:
    def attempt() -> None:
        with database.transaction() as transaction:
            transaction.execute("INSERT INTO accounts (id, created_at) VALUES ('1', '')")
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
    with pytest.raises(IntegrityError, match=r"(?i)foreign key"), database.transaction() as transaction:
        transaction.execute("INSERT INTO users (id, account_id, name, created_at) VALUES ('u', 'nobody', 'x', '')")
    assert accounts(database) == ["1"]


def test_after_a_failed_statement_nothing_more_is_done_or_kept(database: Database) -> None:
    def swallow() -> None:
        with database.transaction() as transaction:
            transaction.execute("INSERT INTO accounts (id, created_at) VALUES ('2', '')")
            with pytest.raises(IntegrityError):
                transaction.execute("INSERT INTO accounts (id, created_at) VALUES ('2', '')")
            with pytest.raises(RuntimeError, match="failed before"):
                transaction.execute("INSERT INTO accounts (id, created_at) VALUES ('3', '')")
            with pytest.raises(RuntimeError, match="failed before"):
                accounts(database)

    with pytest.raises(RuntimeError, match="nothing of it is kept"):
        swallow()
    assert accounts(database) == []
    add(database, "1")
    assert accounts(database) == ["1"]


def test_a_statement_that_cannot_be_is_a_database_error(database: Database) -> None:
    with pytest.raises(DatabaseError, match="nowhere"):
        database.query("SELECT * FROM nowhere")
    with pytest.raises(DatabaseError, match="nowhere"), database.transaction() as transaction:
        transaction.execute("INSERT INTO nowhere VALUES (1)")
    add(database, "1")


def test_transactions_do_not_nest(database: Database) -> None:
    with database.transaction(), pytest.raises(RuntimeError, match="nest"), database.transaction():
        raise AssertionError("unreachable")
    add(database, "1")
    assert accounts(database) == ["1"]


def test_one_threads_transaction_is_not_seen_by_another(database: Database) -> None:
    seen: list[list[str]] = []
    with database.transaction() as transaction:
        transaction.execute("INSERT INTO accounts (id, created_at) VALUES ('1', '')")
        in_threads(1, lambda _: seen.append(accounts(database)))
    assert seen == [[]]
    assert accounts(database) == ["1"]


def test_threads_that_write_at_once_all_succeed(database: Database) -> None:
    def write(thread: int) -> None:
        for number in range(10):
            add(database, f"{thread}-{number}")

    in_threads(8, write)
    assert len(accounts(database)) == 80


COUNTER = """
import sys
from outcrop.store.database import Database
database = Database.open(sys.argv[1])
for _ in range(20):
    with database.transaction() as transaction:
        number = int(transaction.one("SELECT model_id FROM aliases WHERE pattern = 'n'")["model_id"])
        transaction.execute("UPDATE aliases SET model_id = ? WHERE pattern = 'n'", str(number + 1))
"""


def test_one_writer_at_a_time_in_all_processes(where: Path | str, database: Database) -> None:
    """What was read in a transaction is still so when it writes."""
    with database.transaction() as transaction:
        transaction.execute("INSERT INTO aliases (pattern, model_id, created_at) VALUES ('n', '0', '')")
    processes = [subprocess.Popen([sys.executable, "-c", COUNTER, str(where)]) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    assert database.one("SELECT model_id FROM aliases") == {"model_id": "80"}


def test_a_snapshot_does_not_change_and_holds_up_nobody(database: Database) -> None:
    add(database, "1")
    with database.snapshot() as snapshot:
        add(database, "2")
        assert len([*snapshot.stream("accounts")]) == 1
        add(database, "3")
        assert snapshot.query("SELECT id FROM accounts") == [{"id": "1"}]
        (row,) = snapshot.stream("accounts")
        assert dict(zip(snapshot.columns("accounts"), row, strict=True))["id"] == "1"
    assert accounts(database) == ["1", "2", "3"]


def test_version_changes_with_every_write_and_only_then(where: Path | str, database: Database) -> None:
    before = database.version()
    accounts(database)
    assert database.version() == before
    add(database, "1")
    own = database.version()
    assert own != before
    other = Database.open(where)
    assert database.version() == own
    add(other, "2")
    other.close()
    assert database.version() not in (own, before)


def test_version_notices_a_transaction_that_began_long_before(where: Path | str, database: Database) -> None:
    """One that others overtook."""
    other = Database.open(where)
    with other.transaction() as transaction:
        transaction.execute("INSERT INTO accounts (id, created_at) VALUES ('slow', '')")
        before = database.version()
    assert database.version() != before
    other.close()


WRITER = """
import sys
from outcrop.store.database import Database
database = Database.open(sys.argv[1])
number = int(sys.argv[2])
while True:
    with database.transaction() as transaction:
        transaction.execute("INSERT INTO accounts (id, created_at) VALUES (?, '')", str(number))
        transaction.execute("INSERT INTO users (id, account_id, name, created_at) VALUES (?, ?, 'x', '')", f"u{number}", str(number))
    print(number, flush=True)
    number += 1
"""


def test_an_answered_write_survives_kill_9(where: Path | str) -> None:
    """Killed at any moment: all that was answered is there, and nothing by half."""
    Database.open(where).close()
    answered: list[str] = []
    for round_ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(where), str(round_ * 100_000)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        answered += [process.stdout.readline().strip() for _ in range(random.randrange(1, 40))]
        time.sleep(random.random() / 50)
        os.kill(process.pid, signal.SIGKILL)
        answered += process.stdout.read().split()
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL
    database = Database.open(where)
    kept = accounts(database)
    assert set(answered) <= set(kept)
    # At most the one of each round that was committed and not yet reported.
    assert len(kept) - len(answered) <= 5
    assert [row["account_id"] for row in database.query("SELECT account_id FROM users ORDER BY account_id")] == kept
    # And nobody holds the writer's lock.
    add(database, "next")
    database.close()


def test_migrations_are_applied_once_and_recorded(where: Path | str, database: Database) -> None:
    recorded = database.query("SELECT number, name, applied_at FROM migrations ORDER BY number")
    assert recorded[0]["name"] == "0001_identity.sql"
    assert [row["number"] for row in recorded] == sorted(migrate.scripts())
    before = database.version()
    Database.open(where).close()
    assert database.query("SELECT number, name, applied_at FROM migrations ORDER BY number") == recorded
    assert database.version() == before
    assert database.tables() >= {*migrate.table_names(), "migrations"}


@pytest.mark.parametrize("number", sorted(migrate.scripts()))
def test_every_earlier_schema_is_brought_up_to_date(where: Path | str, number: int) -> None:
    early = Database.open(where, up_to_date=False)
    with early.transaction() as transaction:
        migrate.make(transaction, number)
    assert migrate.applied(early) == set(range(1, number + 1))
    add(early, "1")
    early.close()
    database = Database.open(where)
    assert migrate.applied(database) == set(migrate.scripts())
    assert accounts(database) == ["1"]
    database.close()


def statements() -> int:
    """How many all migrations have, and with each the one that makes their own table."""
    return sum(1 + len([*migrate.statements(script)]) for _, script in migrate.scripts().values())


@pytest.mark.parametrize("stop", range(statements()))
def test_a_migration_that_is_stopped_anywhere_goes_on(where: Path | str, stop: int) -> None:
    """The process ends after any of the statements, without a word to the database."""
    child = os.fork()
    if child == 0:
        _stop_after(where, stop)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    database = Database.open(where)
    assert migrate.applied(database) == set(migrate.scripts())
    assert database.tables() >= set(migrate.table_names())
    add(database, "1")
    database.close()


def _stop_after(where: Path | str, stop: int) -> None:
    try:
        left = stop
        database = Database.open(where, up_to_date=False)
        kind = type(database._watch)
        define = kind.define

        def counted(connection: Connection, sql: str) -> None:
            nonlocal left
            define(connection, sql)
            if left == 0:
                os._exit(9)
            left -= 1

        with mock.patch.object(kind, "define", counted):
            migrate.migrate(database)
    finally:
        os._exit(1)


def test_a_broken_migration_leaves_nothing_behind(where: Path | str, monkeypatch: pytest.MonkeyPatch) -> None:
    good = migrate.scripts()
    broken = {**good, 9001: ("9001_x.sql", "CREATE TABLE half (a TEXT);\nINSERT INTO nowhere VALUES (1);\n")}
    monkeypatch.setattr(migrate, "scripts", lambda: broken)
    with pytest.raises(DatabaseError, match="nowhere"):
        Database.open(where)
    monkeypatch.setattr(migrate, "scripts", lambda: good)
    database = Database.open(where)
    assert database.query("SELECT number FROM migrations WHERE number = 9001") == []
    assert "half" not in database.tables()
    database.close()


def test_a_newer_database_is_refused(where: Path | str, database: Database) -> None:
    with database.transaction() as transaction:
        transaction.execute("INSERT INTO migrations (number, name, applied_at) VALUES (9999, 'future.sql', '')")
    with pytest.raises(DatabaseError, match="newer version"):
        Database.open(where)


def test_a_closed_database_says_so(where: Path | str) -> None:
    database = Database.open(where)
    database.close()
    for ask in (lambda: database.query("SELECT 1"), database.version):
        with pytest.raises(DatabaseError, match="closed"):
            ask()


def test_processes_that_open_a_new_database_at_once_all_succeed(where: Path | str) -> None:
    script = "import sys; from outcrop.store.database import Database; Database.open(sys.argv[1])"
    processes = [subprocess.Popen([sys.executable, "-c", script, str(where)]) for _ in range(6)]
    assert [process.wait() for process in processes] == [0] * 6
    database = Database.open(where)
    assert database.query("SELECT count(*) AS n FROM migrations WHERE number = 1") == [{"n": 1}]
    database.close()
