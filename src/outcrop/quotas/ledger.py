"""The uses of all servers, as rows: a sliding window, to within a six-hundredth of it.

Uses stand in slices of time, each forgotten as a whole when its last moment is a window ago, so that none is forgotten early.
One exchange is one transaction, and writers wait for each other: no two servers are given the same room.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from outcrop.store.database import Database, Transaction

SLICES = 600
# Amounts are floating point numbers, and sums of many.
TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True)
class Key:
    account: str
    model: str
    kind: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What a server wants of one quota. `until` is when that is no longer counted; milliseconds here and below.

    `extra` is taken as well, as much as there is, if anything is. `corrections` change what was taken before, by the `until`
    that it was taken under.
    """

    key: Key
    limit: float
    until: int
    amounts: Sequence[float] = ()
    extra: float = 0.0
    corrections: Mapping[int, float] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """`waits`: None for an amount that was granted, or how long until there may be room for it. `room` is left over."""

    waits: tuple[int | None, ...]
    extra: float
    room: float


def exchange(database: Database, asked: Sequence[Asked], now: int, window: Mapping[Key, int]) -> list[Answer]:
    """Blocking. `window` says how long each quota's is. All of it happens or, with a DatabaseError, nothing."""
    with database.transaction() as transaction:
        return [_answer(transaction, one, now, window[one.key]) for one in asked]


def sweep(database: Database, now: int) -> None:
    """Remove what is not counted any more. Blocking."""
    with database.transaction() as transaction:
        transaction.execute("DELETE FROM quota_uses WHERE counts_until <= ?", now)


def _answer(transaction: Transaction, asked: Asked, now: int, window: int) -> Answer:
    key = asked.key.account, asked.key.model, asked.key.kind
    for until, change in (asked.corrections or {}).items():
        transaction.execute(
            "UPDATE quota_uses SET amount = amount + ? "
            "WHERE account_id = ? AND model_id = ? AND kind = ? AND counts_until = ?",
            change,
            *key,
            until,
        )
    if not asked.amounts:
        return Answer((), 0.0, 0.0)
    row = transaction.one(
        "SELECT coalesce(sum(amount), 0) AS total FROM quota_uses "
        "WHERE account_id = ? AND model_id = ? AND kind = ? AND counts_until > ?",
        *key,
        now,
    )
    assert row is not None
    room = asked.limit - row["total"]
    taken, waits = 0.0, list[int | None]()
    for amount in asked.amounts:
        fits = amount <= room - taken + TOLERANCE
        taken += amount if fits else 0.0
        waits.append(None if fits else _wait(transaction, key, amount - (room - taken), now, window))
    extra = max(0.0, min(asked.extra, room - taken)) if taken else 0.0
    if taken:
        transaction.execute(
            "INSERT INTO quota_uses (account_id, model_id, kind, counts_until, amount) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (account_id, model_id, kind, counts_until) DO UPDATE "
            "SET amount = quota_uses.amount + excluded.amount",
            *key,
            asked.until,
            taken + extra,
        )
    return Answer(tuple(waits), extra, room - taken - extra)


def _wait(transaction: Transaction, key: tuple[str, str, str], missing: float, now: int, window: int) -> int:
    """Until as much as is missing is no longer counted; the whole window if that never happens by itself."""
    for until, amount in _slices(transaction, key, now):
        missing -= amount
        if missing <= TOLERANCE:
            return until - now
    return window


def _slices(transaction: Transaction, key: tuple[str, str, str], now: int) -> Iterator[tuple[int, float]]:
    rows = transaction.query(
        "SELECT counts_until, amount FROM quota_uses "
        "WHERE account_id = ? AND model_id = ? AND kind = ? AND counts_until > ? ORDER BY counts_until",
        *key,
        now,
    )
    return ((row["counts_until"], row["amount"]) for row in rows)
