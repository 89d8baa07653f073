"""Data of a version that encrypted nothing goes on being read; a backup brings the keys back, for whoever has the key file."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

from outcrop.encryption.keys import Keys, attached
from outcrop.jobs import queue
from outcrop.objects.local.objects import LocalObjects
from outcrop.objects.local.store import LocalStore
from outcrop.settings import Settings
from outcrop.store import archive, migrate
from outcrop.store.database import Database
from outcrop.store.keyfile import Vault
from outcrop.store.seals import Unreadable
from tests.jobs.sample import ACCOUNT, REGION, look, make
from tests.objects.local import database_in
from tests.stores import store_at

BEFORE = 9
BLOB = "a" * 24
MOMENT = "2026-01-01T00:00:00.000Z"


def earlier(home: Path) -> None:
    """An object, a job and a response as they were written before there were keys."""
    database = Database.open(store_at(home), up_to_date=False)
    with database.transaction() as transaction:
        migrate.make(transaction, BEFORE)
        insert: dict[str, dict[str, object]] = {
            "accounts": {"id": ACCOUNT, "created_at": MOMENT},
            "buckets": {"name": "bucket", "account_id": ACCOUNT, "region": REGION, "created_at": MOMENT},
            "objects": {"bucket": "bucket", "key": b"old", "id": "o", "size": 5, "etag": "e", "modified_at": MOMENT,
                        "headers": "{}", "metadata": "{}"},
            "object_parts": {"blob": BLOB, "owner": "o", "number": 1, "size": 5, "etag": "e", "modified_at": MOMENT},
            "jobs": {"id": "old", "account_id": ACCOUNT, "region": REGION, "kind": "kind", "input": '"words"',
                     "request_hash": "x", "status": "queued", "created_at": MOMENT, "updated_at": MOMENT, "fence": 0,
                     "not_before": MOMENT, "crashes": 0},
            "job_lines": {"job_id": "old", "fence": 1, "number": 1, "said_at": MOMENT, "line": "a line"},
        }  # fmt: skip
        for table, row in insert.items():
            marks = ", ".join("?" * len(row))
            transaction.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", *row.values())  # noqa: S608
    database.close()
    path = home / "objects" / "bucket" / BLOB[:2] / BLOB
    path.parent.mkdir(parents=True)
    path.write_bytes(b"plain")


def test_what_was_plain_is_read_and_its_copies_are_encrypted(tmp_path: Path) -> None:
    earlier(tmp_path)
    database = Database.open(store_at(tmp_path))
    keys = attached(Settings(), database, tmp_path)
    objects = LocalObjects(LocalStore(database, tmp_path / "objects", keys=keys), ACCOUNT)
    assert objects.get("s3://bucket/old") == b"plain"
    assert objects.get("s3://bucket/old", 1, 3) == b"la"
    found = queue.find(database, ACCOUNT, REGION, "kind", "old")
    assert found is not None
    assert found.input == "words"
    assert [line.text for line in queue.lines(database, "old")] == ["a line"]
    copied = objects.copy("s3://bucket/old", "s3://bucket/new")
    assert (copied.etag, copied.size) == ("e", 5)
    assert objects.get("s3://bucket/new") == b"plain"
    files = [path.read_bytes() for path in (tmp_path / "objects" / "bucket").rglob("*") if path.is_file()]
    assert sorted(b"plain" in content for content in files) == [False, True]
    database.close()


def test_a_response_of_an_earlier_version(tmp_path: Path) -> None:
    """Its model, by which permission is asked, stands in its response."""
    with database_in(tmp_path) as database:
        with database.transaction() as transaction:
            transaction.execute(
                "INSERT INTO responses (id, account_id, region, input, response, created_at) VALUES (?, ?, ?, ?, ?, ?)",
                "resp", ACCOUNT, REGION, "[]", orjson.dumps({"model": "m"}).decode(), MOMENT,
            )  # fmt: skip
        row = database.one("SELECT model, response FROM responses WHERE id = ?", "resp")
        assert row is not None
        assert (row["model"], attached(Settings(), database, tmp_path).open(row["response"], "x")) == (
            None,
            '{"model":"m"}',
        )


@pytest.mark.parametrize("with_key", [True, False])
def test_a_backup_brings_the_keys_back(tmp_path: Path, with_key: bool) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    home.mkdir()
    with database_in(home) as database:
        keys = attached(Settings(), database, home)
        store = LocalStore(database, home / "objects", keys=keys)
        store.create_bucket("bucket", ACCOUNT, REGION)
        LocalObjects(store, ACCOUNT).put("s3://bucket/key", b"content")
        job = make(database, "kind", "words")
        archive.backup(database, Vault.open(home), tmp_path / "backup.zip", with_key=with_key)
    # Files of objects are copied as files; the key file too, where the backup has none.
    shutil.copytree(home / "objects", other / "objects")
    if not with_key:
        shutil.copy(home / "key", other / "key")
    restored = Database.open(store_at(other), up_to_date=False)
    archive.restore(restored, other, tmp_path / "backup.zip", replace=False)
    keys = attached(Settings(), restored, other)
    assert (
        LocalObjects(LocalStore(restored, other / "objects", keys=keys), ACCOUNT).get("s3://bucket/key") == b"content"
    )
    assert look(restored, job).input == "words"
    restored.close()
    assert b"words" not in (tmp_path / "backup.zip").read_bytes()


def test_another_key_file_opens_nothing(tmp_path: Path) -> None:
    with database_in(tmp_path) as database:
        sealed = Keys(database, Vault.open(tmp_path)).seal(None, ACCOUNT, REGION, "words", "place")
        with pytest.raises(Unreadable, match="cannot be used: it was altered, or belongs to another key file"):
            Keys(database, Vault(bytes(32))).open(sealed, "place")


def test_help_is_still_instant() -> None:
    """Nothing of cryptography is loaded to print what commands there are."""
    code = "import sys, outcrop.cli as cli; cli.main(['--help'], standalone_mode=False); print('cryptography' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "encryption" in printed
    assert printed.strip().endswith("False")
