"""Data keys wrapped anew: all of them, wherever they stand, and whatever kills it on its way."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from outcrop.encryption import rewrap
from outcrop.encryption.keys import Disabled, Key, Keys
from outcrop.jobs import claims, completed, queue
from outcrop.jobs.claims import Hold
from outcrop.objects.local.objects import LocalObjects
from outcrop.objects.local.store import LocalStore
from outcrop.store import migrate
from outcrop.store.database import Database, Row
from outcrop.store.keyfile import Vault
from outcrop.store.seals import Damaged
from tests.jobs.sample import ACCOUNT, REGION, look, make, now
from tests.objects.local import database_in
from tests.stores import settings_of, store_at

SECOND = timedelta(seconds=10)
COUNT = 400


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with database_in(tmp_path) as opened:
        opened.seals = Keys(opened, Vault.open(tmp_path))
        yield opened


@pytest.fixture
def keys(database: Database) -> Keys:
    assert isinstance(database.seals, Keys)
    return database.seals


@pytest.fixture
def objects(database: Database, keys: Keys, tmp_path: Path) -> LocalObjects:
    store = LocalStore(database, tmp_path / "objects", keys=keys)
    store.create_bucket("bucket", ACCOUNT, REGION)
    return LocalObjects(store, ACCOUNT)


def rotated(database: Database, keys: Keys) -> Key:
    with database.transaction() as transaction:
        keys.rotate(transaction, keys.default(ACCOUNT, REGION))
    keys.refresh()
    return keys.default(ACCOUNT, REGION)


def left(database: Database, key: Key) -> dict[int, int]:
    """How much each version of the key wraps."""
    return {
        version: sum(len(rewrap._found(database, key, column, version, None)) for column in rewrap.COLUMNS)
        for version in key.versions
    }


def whole_job(database: Database, words: str) -> str:
    """With something in every column that is sealed; its id."""
    job = make(database, "kind", words)
    claimed = claims.claim(database, ["kind"], "me", now(), SECOND)
    assert claimed is not None
    with database.transaction() as transaction:
        hold = Hold(job.id, claimed.fence)
        claims.checkpoint(transaction, hold, words, now(), None)
        claims.say(transaction, hold, [(1, datetime.now(UTC), words)])
        claims.release(transaction, hold, now(), now(), 1, words)
    again = claims.claim(database, ["kind"], "me", now() + SECOND, SECOND)
    assert again is not None
    with database.transaction() as transaction:
        hold = Hold(job.id, again.fence)
        claims.settle(transaction, hold, completed(words), now())
        transaction.execute(
            "UPDATE jobs SET reason = ? WHERE id = ?",
            transaction.seals.seal(transaction, ACCOUNT, REGION, words, f"jobs {job.id} reason"),  # type: ignore[union-attr]  # it is there
            job.id,
        )
    return job.id


def kept_response(database: Database, response_id: str) -> None:
    assert database.seals is not None
    with database.transaction() as transaction:
        items, response = (
            database.seals.seal(transaction, ACCOUNT, REGION, "{}", f"responses {response_id} {column}")
            for column in ("input", "response")
        )
        transaction.execute(
            "INSERT INTO responses (id, account_id, region, input, response, created_at) VALUES (?, ?, ?, ?, ?, ?)",
            response_id, ACCOUNT, REGION, items, response, "2026-01-01T00:00:00Z",
        )  # fmt: skip


def test_everything_is_wrapped_anew(database: Database, keys: Keys, objects: LocalObjects) -> None:
    objects.put("s3://bucket/key", b"content")
    job = whole_job(database, "words")
    kept_response(database, "resp")
    key = rotated(database, keys)
    assert left(database, key) == {1: 9, 2: 0}
    assert rewrap.rewrap(database, keys, key) == 9
    assert left(database, key) == {1: 0, 2: 9}
    # The first version is needed no more.
    with database.transaction() as transaction:
        transaction.execute("DELETE FROM encryption_key_versions WHERE number = 1")
    keys.refresh()
    (found,) = queue.called(database, job)
    assert (found.input, found.state, found.result, found.reason, found.problem) == ("words",) * 5
    assert [line.text for line in queue.lines(database, job)] == ["words"]
    assert objects.get("s3://bucket/key") == b"content"


def test_no_column_is_forgotten(database: Database, keys: Keys, objects: LocalObjects) -> None:
    """All that begins as sealed texts do stands in a column that is known here."""
    objects.put("s3://bucket/key", b"content")
    whole_job(database, "words")
    kept_response(database, "resp")
    known = {(column.table, column.name) for column in rewrap.COLUMNS}
    sealed = {
        (table, name)
        for table in migrate.table_names()
        for row in database.query(f'SELECT * FROM "{table}"')  # noqa: S608 - ours
        for name, value in row.items()
        if isinstance(value, str) and value.startswith("sealed1.")
    }
    assert len(sealed) == 9
    assert sealed <= known


def test_what_is_disabled_or_damaged(database: Database, keys: Keys, objects: LocalObjects) -> None:
    objects.put("s3://bucket/key", b"content")
    key = rotated(database, keys)
    with database.transaction() as transaction:
        keys.set_state(transaction, key, "Disabled")
    keys.refresh()
    with pytest.raises(Disabled):
        rewrap.rewrap(database, keys, keys.default(ACCOUNT, REGION))
    with database.transaction() as transaction:
        keys.set_state(transaction, key, "Enabled")
        transaction.execute("UPDATE object_parts SET blob = 'x' || blob")
    keys.refresh()
    with pytest.raises(Damaged):
        rewrap.rewrap(database, keys, keys.default(ACCOUNT, REGION))


def test_what_is_written_meanwhile_stays(database: Database, keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that was read, and is another one when it comes to be written."""
    job = make(database, "kind", "words")
    key = rotated(database, keys)
    find = rewrap._found

    def found(*arguments: Any) -> list[Row]:
        rows = find(*arguments)
        if rows:
            monkeypatch.setattr(rewrap, "_found", find)
            with database.transaction() as transaction:
                place = f"jobs {job.id} input"
                newer = keys.seal(transaction, ACCOUNT, REGION, '"other words"', place)
                transaction.execute("UPDATE jobs SET input = ? WHERE id = ?", newer, job.id)
        return rows

    monkeypatch.setattr(rewrap, "_found", found)
    assert rewrap.rewrap(database, keys, key) == 0
    assert look(database, job).input == "other words"


@pytest.mark.parametrize("after", [0.15, 0.3, 0.45])
def test_killed_on_its_way(database: Database, keys: Keys, objects: LocalObjects, tmp_path: Path, after: float) -> None:
    for number in range(40):
        objects.put(f"s3://bucket/{number}", b"%d" % number)
    made = [make(database, "kind", number) for number in range(COUNT)]
    rotated(database, keys)
    (tmp_path / "settings.toml").write_text(settings_of(store_at(tmp_path)))
    process = subprocess.Popen([sys.executable, "-c", ENDLESS, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    time.sleep(after)
    process.send_signal(signal.SIGKILL)
    process.wait()
    keys.refresh()
    assert [look(database, job).input for job in made] == [*range(COUNT)]
    assert [objects.get(f"s3://bucket/{number}") for number in range(40)] == [b"%d" % number for number in range(40)]
    key = keys.default(ACCOUNT, REGION)
    assert key.newest > 2
    rewrap.rewrap(database, keys, key)
    assert left(database, key)[key.newest] == 40 + COUNT
    assert [look(database, job).input for job in made] == [*range(COUNT)]


ENDLESS = f"""
import sys
from pathlib import Path
from outcrop.encryption import rewrap
from outcrop.encryption.keys import attached
from outcrop.settings import database_of, load
from outcrop.store.database import Database

home = Path(sys.argv[1])
rewrap.BATCH = 7
settings = load(home / "settings.toml")
database = Database.open(database_of(settings, home))
keys = attached(settings, database, home)
while True:
    with database.transaction() as transaction:
        keys.rotate(transaction, keys.find("{ACCOUNT}", "{REGION}", "alias/outcrop/default"))
    keys.refresh()
    print("ready", flush=True)
    rewrap.rewrap(database, keys, keys.default("{ACCOUNT}", "{REGION}"))
"""
