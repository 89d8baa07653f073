"""Lines of objects read in ranges, parts as runs, and how many records are asked at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outcrop.batch import inputs
from outcrop.batch.output import Runs
from outcrop.batch.pace import Pace
from outcrop.batch.refused import Refused
from outcrop.encryption.keys import Keys
from outcrop.objects.local.objects import LocalObjects
from outcrop.objects.local.store import LocalStore
from outcrop.objects.objects import Objects
from outcrop.store.database import Database
from outcrop.store.keyfile import Vault
from tests.stores import store_at

URI = "s3://pieces/in.jsonl"


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Objects:
    folder = tmp_path_factory.mktemp("pieces")
    database = Database.open(store_at(folder))
    with database.transaction() as transaction:
        transaction.execute(
            "INSERT INTO accounts (id, created_at) VALUES (?, ?)", "111122223333", "2026-11-25T12:00:00Z"
        )
    store = LocalStore(database, folder / "objects", keys=Keys(database, Vault.open(folder)))
    store.create_bucket("pieces", "111122223333", "us-east-1")
    return LocalObjects(store, "111122223333")


@given(
    body=st.lists(st.sampled_from([b"", b"a", b"bc", b" \r", b"longer than the rest"]), max_size=12).map(b"\n".join),
    piece=st.integers(1, 9),
    data=st.data(),
)
def test_lines_are_the_same_however_they_are_fetched(
    objects: Objects, body: bytes, piece: int, data: st.DataObject
) -> None:
    stored = objects.put(URI, body)
    whole = list(inputs.lines(objects, URI, stored.size, stored.etag, piece=piece))
    expected = body.split(b"\n") if not body.endswith(b"\n") else body.split(b"\n")[:-1]
    assert [line.text for line in whole] == [line.strip() for line in (expected if body else [])]
    assert [line.number for line in whole] == list(range(1, len(whole) + 1))
    if whole:
        assert whole[-1].end == len(body)
        last = data.draw(st.sampled_from(whole))
        rest = list(inputs.lines(objects, URI, stored.size, stored.etag, last.end, last.number, piece=piece))
        assert rest == whole[last.number :]


def test_a_line_that_never_ends(objects: Objects, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "LINE_BYTES", 20)
    stored = objects.put(URI, b"a\n" + b"x" * 50)
    with pytest.raises(Refused, match="line 2: The line is longer than 20 bytes"):
        list(inputs.lines(objects, URI, stored.size, stored.etag, piece=8))


def test_another_object_is_not_read_on(objects: Objects) -> None:
    stored = objects.put(URI, b"a\nb\nc\n")
    reading = inputs.lines(objects, URI, stored.size, stored.etag, piece=2)
    next(reading)
    objects.put(URI, b"x\ny\nz\n")
    with pytest.raises(Refused, match="changed or deleted"):
        next(reading)
    objects.delete(URI)
    with pytest.raises(Refused, match="changed or deleted"):
        list(inputs.lines(objects, URI, stored.size, stored.etag))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3), st.integers(1, 4)), max_size=20).map(sorted))
def test_runs_give_back_what_was_added(parts: list[tuple[int, int, int]]) -> None:
    runs = Runs()
    for part in parts:
        runs.add(*part)
    again = Runs(runs.known)
    for file in range(4):
        assert list(again.of(file)) == [(attempt, number) for of, attempt, number in parts if of == file]
    assert list(again.without(range(2)).of(1)) == []
    assert list(again.without(range(2)).of(2)) == list(runs.of(2))


def test_many_parts_of_one_attempt_are_one_run() -> None:
    runs = Runs()
    for number in range(1, 10_001):
        runs.add(0, 1, number)
    assert runs.known == [[0, 1, 1, 10_000]]


def test_the_pace_of_an_engine_that_knows_its_room() -> None:
    now = [0.0]
    pace = Pace(4, 64, clock=lambda: now[0])
    assert pace.limit == 8
    pace.throttled()
    pace.throttled()
    assert pace.limit == 4, "a crowd that is turned away at once counts once"
    now[0] = 2.0
    for _ in range(5):
        pace.throttled()
        now[0] += 2.0
    assert pace.limit == 1
    for _ in range(200):
        pace.answered()
    assert pace.limit == 8


def test_the_pace_of_one_that_does_not() -> None:
    pace = Pace(None, 64)
    assert pace.limit == 8
    for _ in range(5000):
        pace.answered()
    assert pace.limit == 64
    assert Pace(None, 4).limit == 4
    assert Pace(1, 64).limit == 2
