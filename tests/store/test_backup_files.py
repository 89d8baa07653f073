"""Objects and the audit trail in a backup: of the moment of the rows, verified byte for byte, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from outcrop.audit.copying import TrailFiles
from outcrop.audit.verify import verify
from outcrop.objects.errors import ObjectsError
from outcrop.objects.local.held import PREFIX, HeldObjects
from outcrop.objects.objects import Objects, walk
from outcrop.objects.places import Places
from outcrop.settings import Settings
from outcrop.store.archive import ArchiveError, Manifest, backup, restore
from outcrop.store.database import Database
from outcrop.store.keyfile import Vault
from tests.live import clean_environment, serve
from tests.stores import settings_of, store_at

ACCOUNT, BUCKET, REGION = "111122223333", "things", "us-east-1"


class Home:
    """A data folder with objects, without a server."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.vault = Vault.open(folder)
        self.database = Database.open(store_at(folder))
        if self.database.one("SELECT 1 AS one FROM accounts") is None:
            with self.database.transaction() as transaction:
                transaction.execute("INSERT INTO accounts (id, created_at) VALUES (?, '')", ACCOUNT)
        self.places = Places(Settings(), self.database, folder)

    @property
    def objects(self) -> Objects:
        return self.places.of(ACCOUNT)

    def backup(self, file: Path, *, with_key: bool = True) -> Manifest:
        held = HeldObjects(self.folder / "objects")
        return backup(self.database, self.vault, file, with_key=with_key, contents=[held])

    def content(self) -> dict[str, str]:
        return {stored.key: self.objects.get(stored.uri).decode() for stored in walk(self.objects, f"s3://{BUCKET}/")}


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path / "old")
    made.places.store.create_bucket(BUCKET, ACCOUNT, REGION)
    yield made
    made.database.close()


def restored(folder: Path, file: Path, *, replace: bool = False) -> Home:
    database = Database.open(store_at(folder), up_to_date=False)
    try:
        restore(database, folder, file, replace=replace)
    finally:
        database.close()
    return Home(folder)


def test_objects_come_back(home: Home, tmp_path: Path) -> None:
    words = {f"folder/{n}": f"{n} " * n for n in (0, 1, 7, 60_000)}
    for key, text in words.items():
        home.objects.put(f"s3://{BUCKET}/{key}", text.encode())
    made = home.backup(tmp_path / "a.zip")
    assert (made.folders["objects"].files, made.folders["objects"].absent) == (4, 0)
    new = restored(tmp_path / "new", tmp_path / "a.zip")
    assert new.content() == words
    modes = {oct(path.stat().st_mode)[-3:] for path in (tmp_path / "new" / "objects").rglob("*") if path.is_file()}
    assert modes == {"600"}
    assert not [path for path in (tmp_path / "old" / "objects").iterdir() if path.name.startswith(PREFIX)]
    new.objects.put(f"s3://{BUCKET}/more", b"and it goes on")
    new.database.close()


def test_it_is_of_one_moment_while_others_write_and_delete(home: Home, tmp_path: Path) -> None:
    """Pairs of objects are replaced and deleted all the time: whichever moment it is, all its bytes are there."""
    done = threading.Event()

    def write(seed: int) -> None:
        choose = random.Random(seed)
        while not done.is_set():
            key = f"s3://{BUCKET}/{seed}/{choose.randrange(8)}"
            if choose.random() < 0.3:
                home.objects.delete(key)
            else:
                text = str(choose.random()) * 50
                home.objects.put(key, text.encode(), metadata={"digest": hashlib.sha256(text.encode()).hexdigest()})

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(3)]
    for writer in writers:
        writer.start()
    try:
        made = [home.backup(tmp_path / f"{number}.zip") for number in range(4)]
    finally:
        done.set()
        for writer in writers:
            writer.join()
    assert [one.folders["objects"].absent for one in made] == [0, 0, 0, 0]
    for number, one in enumerate(made):
        new = restored(tmp_path / f"new{number}", tmp_path / f"{number}.zip")
        found = list(walk(new.objects, f"s3://{BUCKET}/"))
        assert len(found) == one.tables["objects"].rows
        for stored in found:
            body = new.objects.get(stored.uri)
            assert new.objects.head(stored.uri).metadata["digest"] == hashlib.sha256(body).hexdigest()
        new.database.close()


def test_what_is_not_here_is_counted_and_the_rest_is_there(home: Home, tmp_path: Path) -> None:
    for key in ("here", "lost"):
        home.objects.put(f"s3://{BUCKET}/{key}", key.encode())
    blob = home.places.store.find(BUCKET, "lost").parts[0].blob
    home.places.store.blobs.path(BUCKET, blob).unlink()
    made = home.backup(tmp_path / "a.zip")
    assert (made.folders["objects"].files, made.folders["objects"].absent) == (1, 1)
    new = restored(tmp_path / "new", tmp_path / "a.zip")
    assert new.objects.get(f"s3://{BUCKET}/here") == b"here"
    with pytest.raises((ObjectsError, OSError)):
        new.objects.get(f"s3://{BUCKET}/lost")
    new.database.close()


def test_what_a_killed_backup_held_is_swept_away(home: Home) -> None:
    home.objects.put(f"s3://{BUCKET}/a", b"a")
    held = HeldObjects(home.folder / "objects")
    with home.database.snapshot() as connection:
        assert held.hold(connection)
    home.objects.delete(f"s3://{BUCKET}/a")
    (left,) = held.files()
    assert left.size > 0
    home.places.store.blobs.sweep(lambda _: False, now=2 * 24 * 3600 + os.stat(home.folder).st_mtime)
    assert list(held.files()) == []


def test_files_that_are_in_the_way_are_set_aside_only_when_told(home: Home, tmp_path: Path) -> None:
    home.objects.put(f"s3://{BUCKET}/a", b"old")
    home.backup(tmp_path / "a.zip")
    folder = tmp_path / "new"
    (folder / "objects" / "mine").mkdir(parents=True)
    (folder / "objects" / "mine" / "x").write_bytes(b"mine")
    with pytest.raises(ArchiveError, match="holds files already, and nothing was changed"):
        restored(folder, tmp_path / "a.zip")
    assert not (folder / "key").exists()
    new = restored(folder, tmp_path / "a.zip", replace=True)
    assert new.content() == {"a": "old"}
    (aside,) = folder.glob("objects.before-*")
    assert (aside / "mine" / "x").read_bytes() == b"mine"
    new.database.close()


def _members(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _line(members: dict[str, bytes], change: Callable[[list[Any]], None]) -> None:
    line = json.loads(members["objects/files.jsonl"])
    change(line)
    members["objects/files.jsonl"] = json.dumps(line).encode() + b"\n"


def _flip(members: dict[str, bytes]) -> None:
    content = members["objects/content"]
    members["objects/content"] = content[:-1] + bytes([content[-1] ^ 1])


def _cut(members: dict[str, bytes]) -> None:
    members["objects/content"] = members["objects/content"][:-1]


def _more(members: dict[str, bytes]) -> None:
    members["objects/content"] += b"x"


def _none(members: dict[str, bytes]) -> None:
    members["objects/files.jsonl"] = b""


def _climb(members: dict[str, bytes]) -> None:
    _line(members, lambda line: line.__setitem__(0, "../../outside"))


def _absolute(members: dict[str, bytes]) -> None:
    _line(members, lambda line: line.__setitem__(0, "/tmp/outside"))


def _renamed(members: dict[str, bytes]) -> None:
    _line(members, lambda line: line.__setitem__(0, "things/zz/zzz"))


def _negative(members: dict[str, bytes]) -> None:
    _line(members, lambda line: line.__setitem__(1, -5))


def _other_digest(members: dict[str, bytes]) -> None:
    _line(members, lambda line: line.__setitem__(2, "0" * 64))


@pytest.mark.parametrize(
    "damage",
    [_flip, _cut, _more, _none, _climb, _absolute, _renamed, _negative, _other_digest],
    ids=lambda f: f.__name__,
)
def test_a_damaged_backup_changes_nothing(
    home: Home, tmp_path: Path, damage: Callable[[dict[str, bytes]], None]
) -> None:
    home.objects.put(f"s3://{BUCKET}/a", b"some bytes")
    home.backup(tmp_path / "a.zip")
    members = _members(tmp_path / "a.zip")
    damage(members)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    folder = tmp_path / "new"
    with pytest.raises(ArchiveError, match="damaged"):
        restored(folder, tmp_path / "b.zip")
    assert not [path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("outcrop.db")]
    assert not (tmp_path / "outside").exists()
    assert restored(folder, tmp_path / "a.zip").content() == {"a": "some bytes"}


def outcrop(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "outcrop", *arguments],
        env=clean_environment(home), check=False, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_a_running_server_is_backed_up_and_another_goes_on(tmp_path: Path) -> None:
    """Objects, rows and the trail of a server that goes on writing; the new one's trail verifies, and goes on too."""
    file, slim, target = tmp_path / "a.zip", tmp_path / "slim.zip", tmp_path / "target"
    with serve(tmp_path / "source", settings="house_model = false\n") as server:
        s3 = _s3(server.environment, server.url)
        s3.create_bucket(Bucket="photos")
        s3.put_object(Bucket="photos", Key="cat", Body=b"purr" * 100_000)
        calls, done = 0, threading.Event()

        def call() -> None:
            nonlocal calls
            while not done.is_set():
                s3.put_object(Bucket="photos", Key=f"n{calls % 5}", Body=str(calls).encode())
                calls += 1

        thread = threading.Thread(target=call)
        thread.start()
        try:
            made = outcrop(server.home, "backup", "--with-key", str(file))
            small = outcrop(server.home, "backup", "--without-objects", "--without-audit", str(slim))
        finally:
            done.set()
            thread.join()
        assert (made.returncode, small.returncode) == (0, 0), made.stderr + small.stderr
        assert "files of objects, " in made.stdout
        assert "files of audit." in made.stdout
        environment = server.environment
    assert calls > 0
    assert not [name for name in zipfile.ZipFile(slim).namelist() if name.startswith(("objects", "audit"))]
    target.mkdir()
    (target / "settings.toml").write_text(settings_of(store_at(target)))
    done_ = outcrop(target, "restore", str(file))
    assert done_.returncode == 0, done_.stderr
    first = verify(target / "audit", Vault.open(target))
    assert (first.findings, first.records > 0) == ((), True)
    with serve(target, settings="house_model = false\n") as server:
        s3 = _s3(environment, server.url)
        assert s3.get_object(Bucket="photos", Key="cat")["Body"].read() == b"purr" * 100_000
        for found in s3.list_objects_v2(Bucket="photos")["Contents"]:
            assert len(s3.get_object(Bucket="photos", Key=found["Key"])["Body"].read()) == found["Size"]
    again = outcrop(target, "audit", "verify")
    assert again.returncode == 0, again.stdout
    assert verify(target / "audit", Vault.open(target)).records > first.records


def _s3(environment: Any, url: str) -> Any:
    return boto3.client(
        "s3", endpoint_url=url, region_name=REGION, aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )  # fmt: skip


def test_half_a_record_is_left_out(tmp_path: Path) -> None:
    hour = tmp_path / "2026" / "11" / "25" / "10.jsonl"
    hour.parent.mkdir(parents=True)
    whole = b'{"a": "' + b"x" * 200_000 + b'"}\n'
    hour.write_bytes(whole + b'{"half": "' + b"y" * 200_000)
    (found,) = TrailFiles(tmp_path).files()
    assert (found.path, found.size) == ("2026/11/25/10.jsonl", len(whole))
