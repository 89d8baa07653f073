"""`[encryption] enabled = false`: what names a key or asks for encryption is encrypted all the same, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from outcrop.encryption.keys import Keys
from outcrop.objects.local import uploads
from outcrop.objects.local.objects import LocalObjects
from outcrop.objects.local.rows import Described
from outcrop.objects.local.sealing import KEY, METHOD
from outcrop.objects.local.store import LocalStore
from outcrop.settings import SettingsError, load
from outcrop.store.database import Database
from outcrop.store.keyfile import Vault
from tests.objects.local import ACCOUNT, database_in, files

REGION = "us-east-1"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with database_in(tmp_path) as opened:
        yield opened


@pytest.fixture
def store(database: Database, tmp_path: Path) -> LocalStore:
    made = LocalStore(database, tmp_path / "objects", keys=Keys(database, Vault.open(tmp_path), enabled=False))
    made.create_bucket("bucket", ACCOUNT, REGION)
    return made


def named(store: LocalStore) -> str:
    keys = store.sealing.keys
    assert keys is not None
    with store.database.transaction() as transaction:
        return keys.create(transaction, ACCOUNT, REGION, "mine", "").arn


def plain(store: LocalStore) -> list[bool]:
    """Of each file, whether it can be read as it lies there."""
    return [b"content" in path.read_bytes() for path in files(store.blobs.folder)]


def test_an_object_that_asks_for_nothing(store: LocalStore) -> None:
    objects = LocalObjects(store, ACCOUNT)
    put = objects.put("s3://bucket/key", b"content")
    assert (plain(store), METHOD in put.headers) == ([True], False)
    assert objects.get("s3://bucket/key") == b"content"


def test_an_object_that_names_a_key(store: LocalStore) -> None:
    arn = named(store)
    objects = LocalObjects(store, ACCOUNT)
    put = objects.put("s3://bucket/key", b"content", key="alias/mine")
    assert (plain(store), put.headers[METHOD], put.headers[KEY]) == ([False], "aws:kms", arn)
    assert objects.get("s3://bucket/key", 1, 4) == b"ont"
    # A copy of what is encrypted stays so.
    assert objects.copy("s3://bucket/key", "s3://bucket/copy").size == 7
    assert plain(store) == [False, False]
    assert objects.get("s3://bucket/copy") == b"content"


@pytest.mark.parametrize(("headers", "expected"), [({}, True), ({METHOD: "AES256"}, False)])
def test_parts(store: LocalStore, headers: dict[str, str], expected: bool) -> None:
    upload = uploads.begin(store, "bucket", "key", Described(headers, {}), None, None)
    draft = store.draft(upload.described.headers)
    draft.write(b"content")
    part = uploads.add_part(store, upload, 1, draft)
    uploads.complete(store, "bucket", "key", upload.id, [uploads.Wanted(1, part.etag)])
    assert plain(store) == [expected]
    assert LocalObjects(store, ACCOUNT).get("s3://bucket/key") == b"content"


def test_switched_on_later(store: LocalStore, database: Database, tmp_path: Path) -> None:
    """What is there is read, and copied onto itself it is encrypted."""
    LocalObjects(store, ACCOUNT).put("s3://bucket/key", b"content")
    on = LocalStore(database, tmp_path / "objects", keys=Keys(database, Vault.open(tmp_path)))
    objects = LocalObjects(on, ACCOUNT)
    assert objects.get("s3://bucket/key") == b"content"
    before = objects.head("s3://bucket/key")
    objects.copy("s3://bucket/key", "s3://bucket/key")
    assert (objects.get("s3://bucket/key"), plain(on)) == (b"content", [False])
    assert objects.head("s3://bucket/key").etag == before.etag
    # And off again, it is read still.
    assert LocalObjects(store, ACCOUNT).get("s3://bucket/key") == b"content"


def test_the_setting(tmp_path: Path) -> None:
    path = tmp_path / "settings.toml"
    path.write_text("")
    assert load(path).encryption.enabled
    path.write_text("[encryption]\nenabled = false\n")
    assert not load(path).encryption.enabled
    path.write_text("[encryption]\nenable = false\n")
    with pytest.raises(SettingsError, match="enable"):
        load(path)
