"""PostgreSQL behind the same surface as SQLite. Imported only where the settings name such a database."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from outcrop.store.connection import BUSY_SECONDS, ConnectionLost, DatabaseError, IntegrityError, Row
from outcrop.store.dialect import definition, placeholders

OLDEST_VERSION = 13
# A server that falls asleep in a transaction (a paused machine, SIGSTOP) must not keep all others from writing.
ASLEEP_SECONDS = 5.0
# How often a database that cannot be reached is looked for. Nobody else waits for it meanwhile.
LOOK_SECONDS = 1.0

# Given to libpq where the URL does not say otherwise: a server that falls silent is noticed within seconds.
_DEFAULTS = {
    "connect_timeout": "3",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "5000",
    "fallback_application_name": "outcrop",
}

# One round trip. The advisory lock makes this transaction the only one that writes, as BEGIN IMMEDIATE does in SQLite;
# every statement after it sees all that was committed before. A server that answers commits before they are on disk
# (synchronous_commit = off) is told not to.
_BEGIN = (
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; "
    f"SELECT set_config('lock_timeout', '{int(BUSY_SECONDS * 1000)}', true); "
    f"SELECT set_config('idle_in_transaction_session_timeout', '{int(ASLEEP_SECONDS * 1000)}', true); "
    "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'; "
    "SELECT pg_advisory_xact_lock(1333095282, hashtext(current_schema()))"
)

# PostgreSQL's texts cannot hold NUL, SQLite's can; the first of these two marks stands before what is written otherwise.
_MARK = "\ue000"
_NUL = "\ue000\ue001"
_MARK_ITSELF = "\ue000\ue002"

logger = logging.getLogger("outcrop.store")


class Postgres:
    """The database at `url`, `postgresql://user@host:port/name` as libpq has it, with its variables (PGPASSWORD ...)."""

    def __init__(self, url: str) -> None:
        try:
            given = conninfo_to_dict(url)
        except psycopg.Error as problem:
            raise DatabaseError(f"[store] url is no address of a PostgreSQL database: {_line(problem)}.") from None
        self._conninfo = make_conninfo(
            url, client_encoding="UTF8", **{name: value for name, value in _DEFAULTS.items() if name not in given}
        )
        self.name = _shown(given)
        self._lock = threading.Lock()
        self._away: str | None = None
        self._closed = threading.Event()

    def prepare(self) -> None:
        with contextlib.closing(self.connect()) as connection:
            connection.check()

    def ready(self) -> None:
        if (away := self._away) is not None:
            raise DatabaseError(away)

    def connect(self) -> PostgresConnection:
        self.ready()
        try:
            return PostgresConnection(self._connect(), self.name)
        except psycopg.Error as problem:
            sentence = f"The database {self.name} cannot be reached: {_line(problem)}."
            # A server that answers, with a refusal, costs nobody time.
            if "FATAL:" not in str(problem):
                self._give_up(sentence)
            raise DatabaseError(sentence) from None

    def close(self) -> None:
        self._closed.set()

    def _connect(self) -> psycopg.Connection[dict[str, Any]]:
        # Never prepared: a prepared `SELECT *` fails after a migration by another process.
        return psycopg.connect(
            self._conninfo,
            autocommit=True,
            prepare_threshold=None,
            cursor_factory=psycopg.ClientCursor,
            row_factory=_as_dicts,
        )

    def _give_up(self, sentence: str) -> None:
        """Whoever asks is told so from now on without waiting, until the database is found again."""
        with self._lock:
            if self._away is None:
                self._away = sentence
                threading.Thread(target=self._look_again, name="outcrop-database", daemon=True).start()

    def _look_again(self) -> None:
        while not self._closed.wait(LOOK_SECONDS):
            with contextlib.suppress(psycopg.Error):
                self._connect().close()
                logger.warning("The database %s can be reached again.", self.name)
                self._away = None
                return


class PostgresConnection:
    """Parameters are put into statements by psycopg, so that `? IS NULL` needs no type, as in SQLite."""

    def __init__(self, connection: psycopg.Connection[dict[str, Any]], name: str) -> None:
        self._connection = connection
        self._name = name

    @property
    def lost(self) -> bool:
        return self._connection.closed

    def check(self) -> None:
        """DatabaseError if this server cannot hold what Outcrop writes; a line in the log if it may lose it."""
        version = self._connection.info.server_version // 10_000
        if version < OLDEST_VERSION:
            raise DatabaseError(f"PostgreSQL {OLDEST_VERSION} or newer is needed; {self._name} is {version}.")
        row = self.one(
            "SELECT current_setting('server_encoding') AS encoding, current_schema() AS schema, "
            "current_setting('fsync') AS fsync"
        )
        assert row is not None
        if row["encoding"] != "UTF8":
            raise DatabaseError(f"The database {self._name} has the encoding {row['encoding']}; it must be UTF8.")
        if row["schema"] is None:
            raise DatabaseError(f"The database {self._name} has no schema of the search_path in which tables could be.")
        if row["fsync"] != "on":
            logger.warning("%s runs with fsync = off: a power failure may take what was answered.", self._name)

    def query(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        return [*self._run(sql, params).fetchall()]

    def one(self, sql: str, params: Sequence[object] = ()) -> Row | None:
        return self._run(sql, params).fetchone()

    def execute(self, sql: str, params: Sequence[object] = ()) -> int:
        return self._run(sql, params).rowcount

    def execute_many(self, sql: str, rows: Iterable[Sequence[object]]) -> None:
        try:
            self._connection.cursor().executemany(placeholders(sql).encode(), ([*map(_in, row)] for row in rows))
        except psycopg.Error as problem:
            raise self._told(problem) from None

    def define(self, sql: str) -> None:
        self._script(definition(sql))

    def begin(self) -> None:
        try:
            self._script(_BEGIN)
        except BaseException:
            self.rollback()
            raise

    def begin_snapshot(self) -> None:
        self._script("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        # The moment is that of the first read, not of BEGIN.
        self.version()

    def commit(self) -> None:
        try:
            done = self._connection.execute("COMMIT").statusmessage
        except psycopg.Error as problem:
            error = self._told(problem)
            if isinstance(error, ConnectionLost):
                raise ConnectionLost(f"{error} Whether the last change was kept is not known.") from None
            raise error from None
        if done != "COMMIT":
            raise DatabaseError(f"The database {self._name} has not kept a change: {done}.")

    def rollback(self) -> None:
        if not self.lost:
            with contextlib.suppress(DatabaseError):
                self._script("ROLLBACK")

    def version(self) -> str:
        # Which transactions are done and which are under way: every commit that wrote changes it, in other databases
        # of this server too, and nothing has to be written for it.
        row = self.one("SELECT pg_current_snapshot()::text AS version")
        assert row is not None
        return str(row["version"])

    def tables(self) -> set[str]:
        rows = self.query("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
        return {row["tablename"] for row in rows}

    def columns(self, table: str) -> list[str]:
        rows = self.query(
            "SELECT column_name FROM information_schema.columns "
            "WHERE table_schema = current_schema() AND table_name = ? ORDER BY ordinal_position",
            (table,),
        )
        return [row["column_name"] for row in rows]

    def stream(self, table: str) -> Iterator[Sequence[object]]:
        try:
            with self._connection.cursor("outcrop", row_factory=psycopg.rows.tuple_row) as cursor:
                cursor.itersize = 500
                for values in cursor.execute(f'SELECT * FROM "{table}"'.encode()):  # noqa: S608 - a table of ours
                    yield [*map(_out, values)]
        except psycopg.Error as problem:
            raise self._told(problem) from None

    def drop(self, tables: Sequence[str]) -> None:
        for table in tables:
            self._script(f'DROP TABLE "{table}" CASCADE')

    @contextlib.contextmanager
    def constraints_at_the_end(self) -> Iterator[None]:
        keys = self.query(
            "SELECT conrelid::regclass::text AS relation, quote_ident(conname) AS name FROM pg_constraint "
            "WHERE contype = 'f' AND connamespace = current_schema()::regnamespace"
        )
        for key in keys:
            self._script(f"ALTER TABLE {key['relation']} ALTER CONSTRAINT {key['name']} DEFERRABLE INITIALLY DEFERRED")
        yield
        self._script("SET CONSTRAINTS ALL IMMEDIATE")
        for key in keys:
            self._script(f"ALTER TABLE {key['relation']} ALTER CONSTRAINT {key['name']} NOT DEFERRABLE")

    def close(self) -> None:
        self._connection.close()

    def _run(self, sql: str, params: Sequence[object]) -> psycopg.Cursor[dict[str, Any]]:
        try:
            return self._connection.execute(placeholders(sql).encode(), [*map(_in, params)])
        except psycopg.Error as problem:
            raise self._told(problem) from None

    def _script(self, sql: str) -> None:
        """Statements without parameters, in one round trip."""
        try:
            self._connection.execute(sql.encode())
        except psycopg.Error as problem:
            raise self._told(problem) from None

    def _told(self, problem: psycopg.Error) -> DatabaseError | IntegrityError:
        if isinstance(problem, psycopg.IntegrityError):
            return IntegrityError(_line(problem))
        if self.lost:
            return ConnectionLost(f"The connection to the database {self._name} was lost: {_line(problem)}.")
        if isinstance(problem, psycopg.errors.LockNotAvailable):
            return DatabaseError(f"The database {self._name} is busy: another writer goes on for too long.")
        return DatabaseError(f"The database {self._name} cannot be used: {_line(problem)}.")


def _as_dicts(cursor: psycopg.Cursor[Any]) -> Callable[[Sequence[Any]], dict[str, Any]]:
    names = [column.name for column in cursor.description or ()]
    return lambda values: {name: _out(value) for name, value in zip(names, values, strict=True)}


def _in(value: object) -> object:
    """A parameter as SQLite would keep it: truth as a number, texts whole."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str) and ("\0" in value or _MARK in value):
        return value.replace(_MARK, _MARK_ITSELF).replace("\0", _NUL)
    return value


def _out(value: object) -> object:
    """A value as SQLite would give it: no decimals (sums have that type), no booleans."""
    if isinstance(value, str):
        return value.replace(_NUL, "\0").replace(_MARK_ITSELF, _MARK) if _MARK in value else value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def _line(problem: psycopg.Error) -> str:
    return (str(problem).strip().splitlines() or ["unknown"])[0].rstrip(".")


def _shown(given: dict[str, Any]) -> str:
    """The address without its secrets."""
    host, port = str(given.get("host") or given.get("hostaddr") or ""), str(given.get("port") or "")
    user = f"{given['user']}@" if given.get("user") else ""
    return f"postgresql://{user}{host}{':' if port else ''}{port}/{given.get('dbname') or ''}"
