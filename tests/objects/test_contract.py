"""The contract on all that there is: the data folder, another S3 (a second Outcrop), and both joined."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path

import pytest

from outcrop.objects.elsewhere import connect
from outcrop.objects.joined import JoinedObjects
from outcrop.objects.local.objects import LocalObjects
from outcrop.objects.local.store import LocalStore
from outcrop.objects.objects import Objects
from outcrop.objects.places import Places
from outcrop.settings import ElsewhereSpec, ObjectsSettings, Settings
from tests.live import Server
from tests.objects.clients import Buckets
from tests.objects.contract import ObjectsContract, refused
from tests.objects.local import ACCOUNT, database_in, local_store


class TestLocal(ObjectsContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[LocalStore]:
        with local_store(tmp_path) as store:
            yield store

    @pytest.fixture
    def objects(self, store: LocalStore) -> Objects:
        return LocalObjects(store, ACCOUNT)

    @pytest.fixture
    def bucket(self, store: LocalStore) -> str:
        return store.create_bucket("contract", ACCOUNT, "us-east-1").name

    def test_another_account_gets_nothing(self, store: LocalStore, objects: Objects, bucket: str) -> None:
        objects.put(f"s3://{bucket}/mine", b"mine")
        others = LocalObjects(store, "999999999999")
        for attempt in (
            lambda: others.get(f"s3://{bucket}/mine"),
            lambda: others.head(f"s3://{bucket}/mine"),
            lambda: others.put(f"s3://{bucket}/theirs", b""),
            lambda: others.list(f"s3://{bucket}/"),
            lambda: others.delete(f"s3://{bucket}/mine"),
        ):
            with refused("AccessDenied"):
                attempt()


class _Elsewhere(ObjectsContract):
    @pytest.fixture
    def bucket(self, buckets: Buckets) -> str:
        return buckets.new()


class TestElsewhere(_Elsewhere):
    @pytest.fixture
    def objects(self, server: Server, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Objects:
        monkeypatch.setenv("THERE_ID", server.environment["AWS_ACCESS_KEY_ID"])
        monkeypatch.setenv("THERE_SECRET", server.environment["AWS_SECRET_ACCESS_KEY"])
        # What points this machine's clients elsewhere is not for Outcrop.
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
        spec = ElsewhereSpec(endpoint=server.url, access_key_env="THERE_ID", secret_key_env="THERE_SECRET")
        return JoinedObjects(cache(partial(connect, spec)))


class TestJoined(_Elsewhere):
    """All buckets of the settings' endpoint, as rooms get them."""

    @pytest.fixture
    def objects(self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Objects]:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", server.environment["AWS_ACCESS_KEY_ID"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", server.environment["AWS_SECRET_ACCESS_KEY"])
        with database_in(tmp_path) as database:
            settings = Settings(objects=ObjectsSettings(endpoint=server.url))
            yield Places(settings, database, tmp_path).of(ACCOUNT)
