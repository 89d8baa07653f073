"""Any key that S3 allows works, none gets out of the folder, and pages are those of a plain sorted list."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from outcrop.objects.local.listing import common_prefix
from outcrop.objects.local.objects import LocalObjects
from outcrop.objects.local.store import LocalStore
from tests.objects.local import ACCOUNT, files, local_store

ANY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
# What file systems stumble over, put together.
PIECES = st.lists(
    st.sampled_from(
        ["..", ".", "/", "\\", "a", "A", "ä", "a\u0308", "\0", "\n", "%2F", "~", "con", " ", "*", ":", "x" * 256]
    ),
    min_size=1,
    max_size=4,
).map("".join)
KEYS = st.one_of(ANY, PIECES)
NAMES = st.lists(st.sampled_from(["a", "b", "/", "-", "ü", "\U0010ffff", "0"]), min_size=1, max_size=5).map("".join)
CHECKED = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStore]:
    with local_store(tmp_path_factory.mktemp("keys")) as store:
        store.create_bucket("keys", ACCOUNT, "us-east-1")
        yield store


@pytest.fixture
def objects(store: LocalStore) -> LocalObjects:
    return LocalObjects(store, ACCOUNT)


@CHECKED
@given(st.lists(KEYS, min_size=1, max_size=4, unique=True))
@example(["a", "a/", "a/b", "a/b/c"])
@example(["../../../etc/passwd", "/etc/passwd", "..", "."])
@example(["Key", "key", "KEY"])
@example(["\u00e9", "e\u0301"])
@example(["\0", "\0\0", "a\0b"])
@example(["k" * 1024, "k" * 1023 + "/"])
def test_keys_are_kept_apart_and_within(objects: LocalObjects, store: LocalStore, keys: list[str]) -> None:
    before = outside(store)
    for number, key in enumerate(keys):
        objects.put(f"s3://keys/{key}", str(number).encode())
    assert [objects.get(f"s3://keys/{key}") for key in keys] == [str(number).encode() for number in range(len(keys))]
    assert [stored.key for stored in objects.list("s3://keys").objects] == sorted(keys, key=str.encode)
    assert len(files(store.blobs.folder)) == len(keys)
    assert outside(store) == before
    for key in keys:
        objects.delete(f"s3://keys/{key}")
    assert files(store.blobs.folder) == []


def outside(store: LocalStore) -> list[Path]:
    home = store.blobs.folder.parent
    return [
        path for path in files(home) if not path.is_relative_to(store.blobs.folder) and "outcrop.db" not in path.name
    ]


@CHECKED
@given(
    keys=st.sets(NAMES, max_size=12),
    prefix=st.one_of(st.just(""), NAMES),
    delimiter=st.sampled_from(["", "/", "-", "ab"]),
    limit=st.integers(1, 5),
)
@example(keys={"a/1", "a/2", "a0", "a-"}, prefix="", delimiter="/", limit=1)
@example(keys={"a", "\U0010ffff", "\U0010ffffa"}, prefix="\U0010ffff", delimiter="", limit=1)
def test_pages_are_those_of_a_sorted_list(
    objects: LocalObjects, keys: set[str], prefix: str, delimiter: str, limit: int
) -> None:
    for key in keys:
        objects.put(f"s3://keys/{key}", b"")
    try:
        seen: list[str] = []
        after: str | None = ""
        while after is not None:
            page = objects.list(f"s3://keys/{prefix}", delimiter=delimiter, after=after, limit=limit)
            told = sorted([*(stored.key for stored in page.objects), *page.prefixes], key=str.encode)
            assert len(told) == limit or page.after is None
            seen += told
            after = page.after
        assert seen == expected(keys, prefix, delimiter)
    finally:
        for key in keys:
            objects.delete(f"s3://keys/{key}")


def expected(keys: set[str], prefix: str, delimiter: str) -> list[str]:
    told = {common_prefix(key, prefix, delimiter) or key for key in keys if key.startswith(prefix)}
    return sorted(told, key=str.encode)


@CHECKED
@given(keys=st.sets(NAMES, max_size=12), after=NAMES, prefix=st.one_of(st.just(""), NAMES))
def test_a_page_may_begin_after_any_key(objects: LocalObjects, keys: set[str], after: str, prefix: str) -> None:
    for key in keys:
        objects.put(f"s3://keys/{key}", b"")
    try:
        page = objects.list(f"s3://keys/{prefix}", after=after)
        wanted = [key for key in keys if key.startswith(prefix) and key.encode() > after.encode()]
        assert [stored.key for stored in page.objects] == sorted(wanted, key=str.encode)
    finally:
        for key in keys:
            objects.delete(f"s3://keys/{key}")
