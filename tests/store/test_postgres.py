"""PostgreSQL keeps the contract, and what only a server has."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from outcrop.store import postgres
from outcrop.store.database import ConnectionLost, Database, DatabaseError
from tests.contracts.store import *  # noqa: F403 - the suite
from tests.contracts.store import WRITER, accounts, add, database, in_threads
from tests.live import free_port
from tests.stores import Cluster, cluster, new_cluster, postgresql_at

__all__ = ["database"]


@pytest.fixture
def where(tmp_path: Path) -> str:
    return postgresql_at(tmp_path)


@pytest.fixture(scope="module")
def _server() -> Cluster:
    return new_cluster()


@pytest.fixture
def server(_server: Cluster) -> Iterator[Cluster]:
    """One that may be stopped, running again for the next test."""
    yield _server
    if _server.process.poll() is not None:
        _server.start()


@pytest.fixture
def served(server: Cluster, tmp_path: Path) -> Iterator[Database]:
    """A database of that server."""
    opened = Database.open(server.schema(f"t{abs(hash(tmp_path))}"))
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "LOOK_SECONDS", 0.02)


def found_again(ask: Callable[[], object]) -> None:
    for _ in range(500):
        with contextlib.suppress(DatabaseError):
            ask()
            return
        time.sleep(0.02)
    raise AssertionError("The database was not found again.")


def test_commits_are_synced_whatever_the_server_says(database: Database) -> None:
    setting = "SELECT current_setting('synchronous_commit') AS it"
    assert database.one(setting) == {"it": "off"}
    with database.transaction() as transaction:
        assert transaction.one(setting) == {"it": "on"}


def test_version_sees_the_writes_of_another_program(where: str, database: Database) -> None:
    before = database.version()
    with psycopg.connect(where) as connection:
        connection.execute("INSERT INTO accounts (id, created_at) VALUES ('9', '')")
    assert database.version() != before
    assert accounts(database) == ["9"]


def test_a_writer_that_waited_too_long_is_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_BEGIN", postgres._BEGIN.replace("10000", "100"))
    told: list[str] = []

    def write(_: int) -> None:
        with pytest.raises(DatabaseError) as caught:
            add(database, "2")
        told.append(str(caught.value))

    with database.transaction() as transaction:
        transaction.execute("INSERT INTO accounts (id, created_at) VALUES ('1', '')")
        in_threads(1, write)
    assert told == [f"The database {database.name} is busy: another writer goes on for too long."]
    assert accounts(database) == ["1"]


def test_connections_survive_a_restart_of_the_server(served: Database, server: Cluster) -> None:
    barrier = threading.Barrier(4)

    def read(_: int) -> None:
        with served.snapshot():
            barrier.wait()

    # Several connections lie idle then.
    in_threads(4, read)
    before = served.version()
    server.stop()
    server.start()
    add(served, "1")
    assert accounts(served) == ["1"]
    assert served.version() != before
    in_threads(4, lambda number: add(served, f"more-{number}"))
    assert len(accounts(served)) == 5


def test_a_transaction_that_loses_its_connection_leaves_nothing(database: Database) -> None:
    def attempt() -> None:
        with database.transaction() as transaction:
            transaction.execute("INSERT INTO accounts (id, created_at) VALUES ('1', '')")
            row = transaction.one("SELECT pg_backend_pid() AS pid")
            assert row is not None
            with psycopg.connect(cluster().url(), autocommit=True) as connection:
                connection.execute("SELECT pg_terminate_backend(%s)", [row["pid"]])
            transaction.execute("INSERT INTO accounts (id, created_at) VALUES ('2', '')")

    with pytest.raises(ConnectionLost, match="was lost"):
        attempt()
    assert accounts(database) == []
    add(database, "3")
    assert accounts(database) == ["3"]


def test_a_lost_commit_is_not_called_kept(database: Database) -> None:
    def attempt() -> None:
        with database.transaction() as transaction:
            transaction.execute("INSERT INTO accounts (id, created_at) VALUES ('1', '')")
            row = transaction.one("SELECT pg_backend_pid() AS pid")
            assert row is not None
            with psycopg.connect(cluster().url(), autocommit=True) as connection:
                connection.execute("SELECT pg_terminate_backend(%s)", [row["pid"]])

    with pytest.raises(ConnectionLost, match="Whether the last change was kept is not known"):
        attempt()
    add(database, "3")
    assert accounts(database) == ["3"]


def test_while_the_server_is_away_everything_says_so_and_then_goes_on(served: Database, server: Cluster) -> None:
    add(served, "1")
    server.stop()
    for ask in (lambda: accounts(served), lambda: add(served, "2"), served.version, served.tables):
        with pytest.raises(DatabaseError, match=r"^The database postgresql://.* cannot be reached: "):
            ask()
    server.start()
    found_again(served.version)
    assert accounts(served) == ["1"]
    assert served.version() == served.version()
    add(served, "2")


def test_while_it_is_away_nobody_waits_for_it(
    served: Database, server: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the first one finds out; the others are told, idle connections or not, and one thread looks for it."""
    accounts(served)
    server.stop()
    with pytest.raises(DatabaseError) as first:
        served.version()
    attempts: list[str] = []
    connect = psycopg.connect

    def counted(*arguments: Any, **members: Any) -> Any:
        attempts.append(threading.current_thread().name)
        return connect(*arguments, **members)

    monkeypatch.setattr(psycopg, "connect", counted)
    for ask in (served.version, lambda: accounts(served), lambda: add(served, "1")):
        with pytest.raises(DatabaseError) as caught:
            ask()
        assert str(caught.value) == str(first.value)
    server.start()
    found_again(served.version)
    assert accounts(served) == []
    assert set(attempts) >= {"outcrop-database"}
    before = len(attempts)
    time.sleep(0.2)
    assert len(attempts) == before


def test_a_refusal_is_not_taken_for_silence(where: str) -> None:
    """A server with all its connections taken still answers on those that are there."""
    database = Database.open(where)
    accounts(database)
    monkeypatch = pytest.MonkeyPatch()
    driver = database._driver
    assert isinstance(driver, postgres.Postgres)
    with monkeypatch.context() as patched:
        patched.setattr(driver, "_conninfo", driver._conninfo.replace("user=outcrop", "user=nobody"))
        with database.transaction(), pytest.raises(DatabaseError, match=r'cannot be reached: .*FATAL: .*"nobody"'):
            in_other_thread(lambda: accounts(database))
        assert accounts(database) == []
    database.close()


def in_other_thread(work: Callable[[], object]) -> None:
    """What it raises is raised here."""
    with ThreadPoolExecutor(1) as pool:
        pool.submit(work).result()


def test_an_answered_write_survives_a_crash_of_the_server(server: Cluster) -> None:
    where = server.schema("crash")
    Database.open(where).close()
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, where, "0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    answered = [process.stdout.readline().strip() for _ in range(30)]
    # Every process of it at once, the way that the machine's memory killer or a bug ends them.
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    for pid in (str(server.process.pid), *children):
        os.kill(int(pid), signal.SIGKILL)
    server.process.wait()
    answered += process.stdout.read().split()
    assert process.wait() == 1
    for pid in children:
        while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text():
            time.sleep(0.01)
    server.start()
    database = Database.open(where)
    assert set(answered) <= set(accounts(database))
    assert len(accounts(database)) - len(answered) <= 1
    database.close()


def test_two_data_sets_in_one_database_do_not_meet(where: str, tmp_path: Path, database: Database) -> None:
    other = Database.open(postgresql_at(tmp_path / "other"))
    with database.transaction() as transaction:
        transaction.execute("INSERT INTO accounts (id, created_at) VALUES ('1', '')")
        # It does not wait for the other's writer either.
        add(other, "2")
    assert (accounts(database), accounts(other)) == (["1"], ["2"])
    other.close()


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        (
            "postgresql://me:secret@127.0.0.1:{port}/x",
            "The database postgresql://me@127.0.0.1:{port}/x cannot be reached: ",
        ),
        ("postgresql:///x?host=/no/such/folder", "The database postgresql:///no/such/folder/x cannot be reached: "),
        ("postgresql://h/x?nonsense=1", "is no address of a PostgreSQL database"),
    ],
)
def test_an_address_that_leads_nowhere(url: str, sentence: str) -> None:
    port = free_port()
    with pytest.raises(DatabaseError) as caught:
        Database.open(url.replace("{port}", str(port)))
    assert sentence.replace("{port}", str(port)) in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_database_that_cannot_hold_every_text_is_refused() -> None:
    with psycopg.connect(cluster().url(), autocommit=True) as connection:
        connection.execute(
            "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'"
            if connection.info.server_version >= 150_000
            else "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'"
        )
    with pytest.raises(DatabaseError, match="has the encoding LATIN1; it must be UTF8"):
        Database.open(cluster().url(name="latin"))


def test_a_server_that_does_not_sync_is_said(where: str, caplog: pytest.LogCaptureFixture) -> None:
    Database.open(where).close()
    (said,) = caplog.messages
    assert "runs with fsync = off: a power failure may take what was answered." in said
    caplog.clear()
    with psycopg.connect(cluster().url(), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = on")
        connection.execute("SELECT pg_reload_conf()")
        try:
            for _ in range(200):
                caplog.clear()
                Database.open(where).close()
                if not caplog.messages:
                    break
                time.sleep(0.02)
            assert not caplog.messages
        finally:
            connection.execute("ALTER SYSTEM RESET fsync")
            connection.execute("SELECT pg_reload_conf()")


def test_a_search_path_to_nowhere_is_refused() -> None:
    with pytest.raises(DatabaseError, match="has no schema"):
        Database.open(cluster().url("nowhere"))


def test_without_the_driver_it_says_what_to_install(tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from outcrop.store.database import Database, DatabaseError\n"
        "try: Database.open('postgresql:///x')\n"
        "except DatabaseError as problem: print(problem)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert "pip install 'outcrop[postgres]'" in done.stdout
