"""Jobs whose content is sealed: nothing of it lies in the data folder, and a key that is disabled fails them in a sentence."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from outcrop.encryption.keys import Keys, State, attached
from outcrop.jobs import Kind, claims, completed, queue
from outcrop.jobs.claims import Hold
from outcrop.jobs.processes import printed_by
from outcrop.settings import EncryptionSettings, Settings
from outcrop.store.database import Database
from outcrop.store.seals import Unreadable
from tests.encryption.search import MARK, canary, found
from tests.jobs.sample import ACCOUNT, REGION, ended, look, make, now, serving, until
from tests.stores import store_at

TELL = Kind("tell", "tests.encryption.talking:tell")
FALL = Kind("fall", "tests.encryption.talking:fall", crashes=2)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database.open(store_at(tmp_path))
    attached(Settings(), opened, tmp_path)
    yield opened
    opened.close()


def keys_of(database: Database) -> Keys:
    assert isinstance(database.seals, Keys)
    return database.seals


def switch(database: Database, state: State) -> str:
    """The ARN of the account's own key, which has that state from now on."""
    keys = keys_of(database)
    key = keys.default(ACCOUNT, REGION)
    with database.transaction() as transaction:
        keys.set_state(transaction, key, state)
    keys.refresh()
    return key.arn


def test_nothing_of_a_job_lies_around(database: Database, tmp_path: Path) -> None:
    job = make(database, "tell", {"words": canary("told")})
    fallen = make(database, "fall", {"words": canary("fallen")})
    with serving(database, tmp_path, TELL, FALL):
        done, failed = ended(database, job), ended(database, fallen)
    assert (done.input, done.state, done.result) == ({"words": canary("told")},) * 3
    assert [line.text for line in queue.lines(database, job.id)] == [canary("told")]
    assert canary("fallen") in (failed.reason or "")
    assert canary("fallen") in printed_by(tmp_path / "logs", failed, database.seals)
    assert (tmp_path / "logs" / f"{fallen.id}.log").exists()
    assert found(tmp_path) == []


def test_switched_off_it_does(tmp_path: Path) -> None:
    """The search finds what there is to be found."""
    database = Database.open(store_at(tmp_path))
    attached(Settings(encryption=EncryptionSettings(enabled=False)), database, tmp_path)
    fallen = make(database, "fall", {"words": canary("fallen")})
    with serving(database, tmp_path, FALL):
        ended(database, fallen)
    there = found(tmp_path)
    database.close()
    assert str(tmp_path / "logs" / f"{fallen.id}.log") in there
    assert len(there) > 1


def test_a_job_whose_key_is_disabled_before_it_runs(database: Database, tmp_path: Path) -> None:
    job = make(database, "tell", {"words": "words"})
    other = make(database, "tell", {"words": "theirs"}, account="999999999999")
    arn = switch(database, "Disabled")
    with pytest.raises(Unreadable, match="is disabled"):
        look(database, job)
    with pytest.raises(Unreadable, match="is disabled"):
        make(database, "tell", {"words": "more"})
    with serving(database, tmp_path, TELL):
        assert ended(database, other).status == "completed"
        until(lambda: queue.called(database, job.id)[0].ended, "it never ended")
    (locked,) = queue.called(database, job.id)
    assert (locked.status, locked.input) == ("failed", None)
    switch(database, "Enabled")
    after = look(database, job)
    assert (after.input, after.reason) == ({"words": "words"}, f"{arn} is disabled.")


def test_a_job_whose_key_is_disabled_while_it_runs(database: Database, tmp_path: Path) -> None:
    job = make(database, "tell", {"words": "words", "seconds": 0.5})
    with serving(database, tmp_path, TELL):
        until(lambda: look(database, job).state, "it never made a checkpoint")
        arn = switch(database, "Disabled")
        until(lambda: queue.called(database, job.id)[0].ended, "it never ended")
    switch(database, "Enabled")
    after = look(database, job)
    assert (after.status, after.reason, after.result) == ("failed", f"{arn} is disabled.", None)
    assert after.state == {"words": "words"}


def test_the_same_checkpoint_again_is_no_progress(database: Database) -> None:
    job = make(database, "tell", 1)
    claimed = claims.claim(database, ["tell"], "me", now(), timedelta(seconds=10))
    assert claimed is not None
    hold = Hold(job.id, claimed.fence)
    with database.transaction() as transaction:
        claims.checkpoint(transaction, hold, {"at": 1}, now(), None)
        claims.release(transaction, hold, now(), now(), 3, canary("problem"))
    time.sleep(0.01)
    again = claims.claim(database, ["tell"], "me", now(), timedelta(seconds=10))
    assert again is not None
    assert (again.crashes, again.problem) == (3, canary("problem"))
    hold = Hold(job.id, again.fence)
    with database.transaction() as transaction:
        assert claims.checkpoint(transaction, hold, {"at": 1}, now(), None) == 3
        assert claims.checkpoint(transaction, hold, {"at": 2}, now(), None) == 0
        assert claims.settle(transaction, hold, completed(MARK), now()) is not None


def test_a_value_that_was_moved_to_another_row(database: Database) -> None:
    one, two = make(database, "tell", "one"), make(database, "tell", "two")
    with database.transaction() as transaction:
        row = transaction.one("SELECT input FROM jobs WHERE id = ?", two.id)
        assert row is not None
        transaction.execute("UPDATE jobs SET input = ? WHERE id = ?", row["input"], one.id)
    with pytest.raises(Unreadable, match="altered or moved"):
        look(database, one)
    assert look(database, two).input == "two"
