"""The data folder: what there is after a crash, while it is read, and while others write."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from outcrop.objects.errors import ObjectsError
from outcrop.objects.local import store as store_module
from outcrop.objects.local import uploads
from outcrop.objects.local.blobs import ABANDONED_SECONDS, DRAFTS
from outcrop.objects.local.objects import LocalObjects
from outcrop.objects.local.rows import Described, is_wanted
from outcrop.objects.local.store import LocalStore
from outcrop.objects.local.uploads import SMALLEST_PART, Wanted
from tests.objects.contract import MIB, refused
from tests.objects.local import ACCOUNT, files, local_store
from tests.stores import store_at

NOTHING = Described({}, {})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[LocalStore]:
    with local_store(tmp_path) as store:
        store.create_bucket("local", ACCOUNT, "us-east-1")
        yield store


@pytest.fixture
def objects(store: LocalStore) -> LocalObjects:
    return LocalObjects(store, ACCOUNT)


def put_parts(store: LocalStore, key: str, *parts: bytes) -> None:
    upload = uploads.begin(store, "local", key, NOTHING, None, None)
    wanted = []
    for number, content in enumerate(parts, 1):
        draft = store.blobs.draft()
        draft.write(content)
        wanted.append(Wanted(number, uploads.add_part(store, upload, number, draft).etag))
    uploads.complete(store, "local", key, upload.id, wanted)


def test_writing_over_leaves_one_file(store: LocalStore, objects: LocalObjects) -> None:
    for content in (b"one", b"two", b"three"):
        objects.put("s3://local/key", content)
    assert len(files(store.blobs.folder)) == 1
    assert objects.get("s3://local/key") == b"three"


def test_files_are_the_owners_only(store: LocalStore, objects: LocalObjects) -> None:
    objects.put("s3://local/key", b"secret")
    folders = [path for path in store.blobs.folder.rglob("*") if path.is_dir()]
    assert {path.stat().st_mode & 0o077 for path in folders} == {0}


def test_a_reader_finishes_what_was_written_over(objects: LocalObjects) -> None:
    old, new = b"o" * 3 * MIB, b"n" * 3 * MIB
    objects.put("s3://local/key", old)
    with objects.open("s3://local/key") as reading:
        first = next(iter(reading))
        objects.put("s3://local/key", new)
        assert first + reading.read() == old
    assert objects.get("s3://local/key") == new


def test_a_reader_of_parts_finishes_what_was_deleted(store: LocalStore, objects: LocalObjects) -> None:
    put_parts(store, "parts", b"a" * SMALLEST_PART, b"b" * SMALLEST_PART, b"c")
    with objects.open("s3://local/parts") as reading:
        first = next(iter(reading))
        objects.delete("s3://local/parts")
        assert first + reading.read() == b"a" * SMALLEST_PART + b"b" * SMALLEST_PART + b"c"
    assert files(store.blobs.folder) == []


def test_a_reader_far_behind_fails_rather_than_mixes(
    store: LocalStore, objects: LocalObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "OPEN_AHEAD", 1)
    put_parts(store, "parts", b"a" * SMALLEST_PART, b"b")
    with objects.open("s3://local/parts") as reading:
        objects.put("s3://local/parts", b"new")
        with pytest.raises(FileNotFoundError):
            reading.read()


def test_ranges_over_parts(store: LocalStore, objects: LocalObjects) -> None:
    parts = [bytes([number]) * SMALLEST_PART for number in range(3)]
    put_parts(store, "parts", *parts, b"end")
    whole = b"".join(parts) + b"end"
    for start, stop in (
        (0, 10),
        (SMALLEST_PART - 2, SMALLEST_PART + 2),
        (3, 2 * SMALLEST_PART + 5),
        (len(whole) - 4, len(whole)),
    ):
        assert objects.get("s3://local/parts", start, stop) == whole[start:stop]


def test_a_copy_outlives_its_source_and_takes_no_room(store: LocalStore, objects: LocalObjects) -> None:
    objects.put("s3://local/a", b"bytes")
    objects.copy("s3://local/a", "s3://local/b")
    one, two = files(store.blobs.folder)
    assert one.samefile(two)
    objects.put("s3://local/a", b"other")
    assert objects.get("s3://local/b") == b"bytes"


def test_what_a_crash_leaves_is_swept_a_day_later(store: LocalStore, objects: LocalObjects) -> None:
    objects.put("s3://local/kept", b"kept")
    put_parts(store, "parts", b"part")
    begun = uploads.begin(store, "local", "upload", NOTHING, None, None)
    draft = store.blobs.draft()
    draft.write(b"part of an upload that is under way")
    uploads.add_part(store, begun, 1, draft)
    wanted = files(store.blobs.folder)
    abandoned = store.blobs.draft()
    abandoned.write(b"half")
    lost = store.blobs.draft()
    lost.write(b"published, and then the process died")
    store.blobs.publish("local", lost)

    def sweep(after: float) -> int:
        return store.blobs.sweep(lambda blob: is_wanted(store.database, blob), time.time() + after)

    assert sweep(ABANDONED_SECONDS - 60) == 0
    assert sweep(ABANDONED_SECONDS + 60) == 2
    assert files(store.blobs.folder) == wanted


def test_a_bucket_of_any_name_is_no_internal_folder(store: LocalStore) -> None:
    with refused("InvalidBucketName"):
        store.create_bucket(DRAFTS, ACCOUNT, "us-east-1")


def test_two_writers_of_a_new_key_are_told_apart(store: LocalStore, objects: LocalObjects) -> None:
    outcomes: list[str] = []
    barrier = threading.Barrier(6)

    def write(number: int) -> None:
        barrier.wait()
        try:
            objects.put("s3://local/new", str(number).encode(), only_new=True)
            outcomes.append("written")
        except ObjectsError as problem:
            outcomes.append(problem.code)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["PreconditionFailed"] * 5 + ["written"]
    assert len(files(store.blobs.folder)) == 1


def test_readers_see_one_version_while_writers_write(objects: LocalObjects) -> None:
    objects.put("s3://local/key", b"0" * 100_000)
    stop = threading.Event()

    def write() -> None:
        for number in range(60):
            objects.put("s3://local/key", str(number % 10).encode() * 100_000)
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = 0
    while not stop.is_set():
        content = objects.get("s3://local/key")
        assert len(content) == 100_000
        assert len(set(content)) == 1
        seen += 1
    writer.join()
    assert seen > 0


WRITER = """
import sys
from pathlib import Path
from outcrop.encryption.keys import Keys
from outcrop.objects.local.objects import LocalObjects
from outcrop.objects.local.store import LocalStore
from outcrop.store.database import Database
from outcrop.store.keyfile import Vault

home, where = Path(sys.argv[1]), sys.argv[3]
where = where if "://" in where else Path(where)
database = Database.open(where)
keys = Keys(database, Vault.open(home))
objects = LocalObjects(LocalStore(database, home / "objects", keys=keys), sys.argv[2])
print("ready", flush=True)
number = 0
while True:
    number += 1
    objects.put("s3://local/key", (bytes([number % 256]) * 65536 for _ in range(40)))
"""


def test_killed_in_the_middle_of_a_put(store: LocalStore, objects: LocalObjects, tmp_path: Path) -> None:
    objects.put("s3://local/key", b"\0" * 40 * 65536)
    for round_ in range(8):
        argv = [sys.executable, "-c", WRITER, str(tmp_path), ACCOUNT, str(store_at(tmp_path))]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.02 + 0.013 * round_)
        process.send_signal(signal.SIGKILL)
        process.wait()
        content = objects.get("s3://local/key")
        assert len(content) == 40 * 65536
        assert len(set(content)) == 1
    objects.put("s3://local/key", b"after")
    assert objects.get("s3://local/key") == b"after"
    store.blobs.sweep(lambda blob: is_wanted(store.database, blob), time.time() + ABANDONED_SECONDS + 60)
    assert len(files(store.blobs.folder)) == 1


def test_a_full_disk_leaves_what_was_there(
    store: LocalStore, objects: LocalObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects.put("s3://local/key", b"before")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        objects.put("s3://local/key", b"after")
    monkeypatch.undo()
    assert objects.get("s3://local/key") == b"before"
    assert len(files(store.blobs.folder)) == 1
