"""A folder of the operator's as a bucket: what is dropped there is an object, and nothing outside is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outcrop.objects.local.objects import LocalObjects
from outcrop.objects.places import Places
from outcrop.settings import BucketSpec, ObjectsSettings, Settings, SettingsError
from tests.live import Server
from tests.objects.clients import Buckets, client
from tests.objects.contract import refused
from tests.objects.local import ACCOUNT, database_in
from tests.objects.test_boto3 import all_refused, content
from tests.objects.test_boto3 import refused as client_refused
from tests.objects.test_keys import expected


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


@pytest.fixture
def objects(folder: Path, tmp_path: Path) -> Iterator[LocalObjects]:
    with database_in(tmp_path) as database:
        buckets = {"data": BucketSpec(folder=str(folder), account=ACCOUNT)}
        places = Places(Settings(objects=ObjectsSettings(buckets=buckets)), database, tmp_path)
        places.store.create_bucket("own", ACCOUNT, "us-east-1")
        yield LocalObjects(places.store, ACCOUNT)


def drop(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def test_files_are_objects(objects: LocalObjects, folder: Path) -> None:
    drop(folder, "a.txt", "sub/ü.bin", ".hidden")
    (folder / "empty").mkdir()
    listed = objects.list("s3://data")
    assert [one.key for one in listed.objects] == [".hidden", "a.txt", "sub/ü.bin"]
    assert objects.get("s3://data/sub/ü.bin", 0, 3) == b"sub"
    assert objects.head("s3://data/a.txt").etag == listed.objects[1].etag
    page = objects.list("s3://data/", delimiter="/")
    assert ([one.key for one in page.objects], page.prefixes) == ([".hidden", "a.txt"], ("sub/",))


def test_a_changed_file_has_another_etag(objects: LocalObjects, folder: Path) -> None:
    drop(folder, "a")
    before = objects.head("s3://data/a").etag
    (folder / "a").write_bytes(b"longer than it was")
    assert objects.head("s3://data/a").etag != before


def test_nothing_outside_is_there(objects: LocalObjects, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "data-too").mkdir()
    (tmp_path / "data-too" / "secret").write_bytes(b"secret")
    drop(folder, "inside", "sub/inside")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "linked").symlink_to(tmp_path / "data-too")
    (folder / "own").symlink_to(folder / "inside")
    (folder / "loop").symlink_to(folder / "loop")
    for key in (
        "../secret", "sub/../../secret", "link", "linked/secret", "../data-too/secret", "/etc/passwd", "./inside", "sub//inside",
        "inside/", "sub/", "sub", ".", "inside\0", "loop", "..",
    ):  # fmt: skip
        with refused("NoSuchKey"):
            objects.get(f"s3://data/{key}")
    assert [one.key for one in objects.list("s3://data").objects] == ["inside", "own", "sub/inside"]
    assert objects.get("s3://data/own") == b"inside"


def test_it_is_only_read(objects: LocalObjects, folder: Path) -> None:
    drop(folder, "a")
    for attempt in (
        lambda: objects.put("s3://data/b", b""),
        lambda: objects.delete("s3://data/a"),
        lambda: objects.copy("s3://data/a", "s3://data/b"),
    ):
        with refused("AccessDenied"):
            attempt()
    assert [path.name for path in folder.iterdir()] == ["a"]
    objects.copy("s3://data/a", "s3://own/a")
    (folder / "a").unlink()
    assert objects.get("s3://own/a") == b"a"


NAMES = st.lists(st.sampled_from(["a", "b", "a0", "a-", "ü"]), min_size=1, max_size=3).map("/".join)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.sets(NAMES, max_size=8),
    prefix=st.sampled_from(["", "a", "a/", "a/b", "b/a0"]),
    delimiter=st.sampled_from(["", "/", "-"]),
    limit=st.integers(1, 4),
)
def test_pages(
    objects: LocalObjects,
    tmp_path_factory: pytest.TempPathFactory,
    folder: Path,
    names: set[str],
    prefix: str,
    delimiter: str,
    limit: int,
) -> None:
    files = {name for name in names if not any(other.startswith(f"{name}/") for other in names)}
    for old in sorted(folder.rglob("*"), reverse=True):
        old.rmdir() if old.is_dir() else old.unlink()
    drop(folder, *files)
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = objects.list(f"s3://data/{prefix}", delimiter=delimiter, after=after, limit=limit)
        seen += sorted([*(one.key for one in page.objects), *page.prefixes], key=str.encode)
        after = page.after
    assert seen == expected(files, prefix, delimiter)


def test_by_a_client(server: Server, buckets: Buckets) -> None:
    """The live server has a folder too: `dropped`, in its settings."""
    settings_file = (server.home / "settings.toml").read_text()
    drop(Path(settings_file.split('folder = "')[1].split('"')[0]), "a/b.txt")
    s3: Any = client(server)
    assert "dropped" in [one["Name"] for one in s3.list_buckets()["Buckets"]]
    assert content(s3, "dropped", "a/b.txt", Range="bytes=2-") == b"b.txt"
    assert [one["Key"] for one in s3.list_objects_v2(Bucket="dropped")["Contents"]] == ["a/b.txt"]
    own = buckets.new()
    s3.copy_object(Bucket=own, Key="copy", CopySource={"Bucket": "dropped", "Key": "a/b.txt"})
    assert content(s3, own, "copy") == b"a/b.txt"
    all_refused(
        "AccessDenied",
        403,
        lambda: s3.put_object(Bucket="dropped", Key="k", Body=b"x" * 100_000),
        lambda: s3.delete_object(Bucket="dropped", Key="a/b.txt"),
        lambda: s3.create_multipart_upload(Bucket="dropped", Key="k"),
        lambda: s3.delete_bucket(Bucket="dropped"),
    )
    with client_refused("BucketAlreadyOwnedByYou", 409):
        s3.create_bucket(Bucket="dropped")


@pytest.mark.parametrize(
    ("given_settings", "sentence"),
    [
        (ObjectsSettings(buckets={"data": BucketSpec(folder="/no/such/folder")}), "The folder /no/such/folder of"),
        (
            ObjectsSettings(endpoint="aws", access_key_env="NO_SUCH_ID", secret_key_env="NO_SUCH_SECRET"),
            "NO_SUCH_ID, which is not set",
        ),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, given_settings: ObjectsSettings, sentence: str) -> None:
    with database_in(tmp_path) as database, pytest.raises(SettingsError, match=sentence):
        Places(Settings(objects=given_settings), database, tmp_path)


def test_no_network_means_none(tmp_path: Path) -> None:
    with database_in(tmp_path) as database:
        for endpoint in ("aws", "https://s3.example.com"):
            with pytest.raises(SettingsError, match="not on this machine"):
                Places(Settings(network="none", objects=ObjectsSettings(endpoint=endpoint)), database, tmp_path)
        Places(Settings(network="none", objects=ObjectsSettings(endpoint="http://127.0.0.1:9000")), database, tmp_path)
