"""A thousand simulated worlds full of trouble, and proof that they would notice a missing fence."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from outcrop.jobs import claims
from outcrop.jobs.claims import Hold
from outcrop.store.database import Database, Transaction
from tests.jobs.simulated import Violation
from tests.jobs.simulation import simulate
from tests.stores import store_at

POSTGRESQL = os.environ.get("OUTCROP_TEST_STORE") == "postgresql"
# A world costs tens of milliseconds, and in PostgreSQL seconds.
SEEDS = int(os.environ.get("OUTCROP_SEEDS", "20" if POSTGRESQL else "1000"))
BLOCK = min(50, SEEDS)


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    """In memory where the system has a place for that: a simulated world syncs some hundred times."""
    memory = Path("/dev/shm")
    logging.getLogger("outcrop.jobs").setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        opened = Database.open(store_at(Path(folder)))
        yield opened
        opened.close()
    logging.getLogger("outcrop.jobs").setLevel(logging.NOTSET)


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_nothing_is_lost_and_nothing_is_done_twice(database: Database, first: int) -> None:
    for seed in range(first, first + BLOCK):
        world = simulate(database, seed)
        assert len(world.seen) >= 5


def test_a_seed_is_the_same_world_again(database: Database) -> None:
    first, second = simulate(database, 7), simulate(database, 7)
    assert (first.now, first.seen, first.written) == (second.now, second.seen, second.written)


@pytest.mark.skipif(POSTGRESQL, reason="the simulation is on trial here, and not the database")
@pytest.mark.parametrize("verbs", [["checkpoint"], ["renew", "checkpoint"], ["renew", "settle"]])
def test_a_missing_fence_is_noticed(database: Database, monkeypatch: pytest.MonkeyPatch, verbs: list[str]) -> None:
    for verb in verbs:
        monkeypatch.setattr(claims, verb, unfenced(getattr(claims, verb)))
    with pytest.raises(Violation):  # noqa: PT012 - any of the seeds may notice it
        for seed in range(1000):
            simulate(database, seed)


def unfenced(write: Callable[..., Any]) -> Callable[..., Any]:
    """The same write under whatever fence the job has by now."""

    def careless(transaction: Transaction, hold: Hold, *rest: Any) -> Any:
        row = transaction.one("SELECT fence FROM jobs WHERE id = ?", hold.job_id)
        return write(transaction, Hold(hold.job_id, row["fence"] if row else 0), *rest)

    return careless
