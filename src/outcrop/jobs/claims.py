"""What the holder of a job does with it: claim, renew, checkpoint, release, settle.

Each write names the fence it is made under and touches nothing when another has claimed the job since, or it has ended:
whoever wakes up late writes nowhere.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from outcrop.data_retention import modes
from outcrop.jobs.job import Job, at, job_of, line_place, place, to_json
from outcrop.jobs.work import Outcome, failed
from outcrop.store.database import Database, Row, Transaction
from outcrop.store.seals import Damaged, Unreadable, opened, sealed

# Of one attempt; a job that talks without end keeps its newest lines.
KEPT_LINES = 1000
# Written by one statement: each is a round trip, and others wait for the transaction.
LINES_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Hold:
    """A claim: valid as long as nobody else has claimed the job since."""

    job_id: str
    fence: int


@dataclass(frozen=True, slots=True)
class Progress:
    done: float
    total: float | None
    metrics: dict[str, float]


def claim(
    database: Database,
    kinds: Collection[str],
    holder: str,
    now: datetime,
    lease: timedelta,
    full: Collection[str] = (),
) -> Job | None:
    """Take the job whose turn it is, of these kinds, or None if none waits. Of kinds that are `full`, one that is stopping.

    What is stopping comes first: it takes seconds, and somebody waits. Then accounts take turns: the one that holds fewest
    jobs, then the one whose last turn is longest ago; of one account, the oldest job. A lease that ran out is a crash that
    nobody was left to write down. In PostgreSQL two servers may choose the same row: the outer condition is looked at
    again once the first has committed, and the second gets none.
    """
    moment = at(now)
    due = (
        f"ended_at IS NULL AND (kind IN ({_marks(kinds)}) OR (kind IN ({_marks(full)}) AND status = 'stopping')) "
        "AND not_before <= ? AND (lease_until IS NULL OR lease_until < ?)"
    )
    given = [*kinds, *full, moment, moment]
    calm = "CASE status WHEN 'stopping' THEN 0 ELSE 1 END"
    # Reading waits for no writer, and mostly there is nothing to claim.
    if database.one(f"SELECT 1 AS found FROM jobs WHERE {due} LIMIT 1", *given) is None:  # noqa: S608
        return None
    statement = f"""
        UPDATE jobs SET
            fence = fence + 1, holder = ?, lease_until = ?, claimed_at = ?, updated_at = ?,
            started_at = coalesce(started_at, ?),
            status = CASE status WHEN 'queued' THEN 'running' ELSE status END,
            crashes = CASE WHEN lease_until IS NULL THEN crashes ELSE crashes + 1 END,
            problem = CASE WHEN lease_until IS NULL THEN problem ELSE 'the server that ran it went away' END
        WHERE id = (
            SELECT id FROM jobs WHERE {due} AND account_id = (
                SELECT account_id FROM jobs AS waiting WHERE {due} GROUP BY account_id
                ORDER BY
                    min({calm}),
                    (SELECT count(*) FROM jobs AS held
                        WHERE held.account_id = waiting.account_id AND held.lease_until >= ?),
                    (SELECT coalesce(max(turn.claimed_at), '') FROM jobs AS turn
                        WHERE turn.account_id = waiting.account_id),
                    min(created_at)
                LIMIT 1
            )
            ORDER BY {calm}, created_at, id LIMIT 1
        ) AND ended_at IS NULL AND (lease_until IS NULL OR lease_until < ?)
        RETURNING *
    """  # noqa: S608 - only question marks are put in
    with database.transaction() as transaction:
        rows = transaction.query(
            statement, holder, at(now + lease), moment, moment, moment, *given, *given, moment, moment
        )  # fmt: skip
    return job_of(rows[0], database.seals) if rows else None


def renew(
    transaction: Transaction, hold: Hold, now: datetime, lease: timedelta, progress: Progress | None
) -> str | None:
    """Hold on for another lease, and write progress if there is any. The job's status, or None: it is lost."""
    rows = transaction.query(
        "UPDATE jobs SET lease_until = ? WHERE id = ? AND fence = ? AND ended_at IS NULL RETURNING status",
        at(now + lease),
        hold.job_id,
        hold.fence,
    )
    if rows and progress is not None:
        _progress(transaction, hold, now, progress)
    return str(rows[0]["status"]) if rows else None


def checkpoint(
    transaction: Transaction, hold: Hold, state: Any, now: datetime, progress: Progress | None
) -> int | None:
    """Write where the job is, from which its next attempt goes on. Its crashes since it got further; None: it is lost.

    Being where it was before is not getting further: a job that always crashes behind the same checkpoint must end.
    Unreadable if its key is disabled.
    """
    row = _held(transaction, hold)
    if row is None:
        return None
    text = to_json(state)
    crashes = int(row["crashes"]) if _before(transaction, row) == text else 0
    touched = transaction.execute(
        "UPDATE jobs SET crashes = ?, state = ?, updated_at = ? WHERE id = ? AND fence = ? AND ended_at IS NULL",
        crashes,
        _sealed(transaction, row, "state", text),
        at(now),
        hold.job_id,
        hold.fence,
    )
    if touched and progress is not None:
        _progress(transaction, hold, now, progress)
    return crashes if touched else None


def release(
    transaction: Transaction, hold: Hold, now: datetime, not_before: datetime, crashes: int, problem: str | None
) -> bool:
    """Give an open job back, to be claimed again from `not_before` on. False: lost.

    One that was asked to stop in the meantime does not wait. `crashes` is their number, not one more: whoever does not know
    whether this was written writes it again.
    """
    row = _held(transaction, hold)
    if row is None:
        return False
    touched = transaction.execute(
        "UPDATE jobs SET lease_until = NULL, holder = NULL, updated_at = ?, "
        "not_before = CASE WHEN status = 'stopping' THEN ? ELSE ? END, "
        "crashes = ?, problem = coalesce(?, problem) "
        "WHERE id = ? AND fence = ? AND ended_at IS NULL",
        at(now),
        at(now),
        at(not_before),
        crashes,
        None if problem is None else _told(transaction, row, "problem", problem),
        hold.job_id,
        hold.fence,
    )
    return touched > 0


def settle(transaction: Transaction, hold: Hold, outcome: Outcome, now: datetime) -> Job | None:
    """End the job. One that was asked to stop does not complete: it has stopped. None: it is lost, or had ended.

    One whose result cannot be encrypted, because its key is disabled, fails.
    """
    moment = at(now)
    row = _held(transaction, hold)
    if row is None:
        return None
    result = None
    try:
        if outcome.result is not None:
            result = _sealed(transaction, row, "result", to_json(outcome.result))
    except Unreadable as problem:
        outcome = failed(problem.message)
    rows = transaction.query(
        "UPDATE jobs SET status = CASE WHEN status = 'stopping' AND ? = 'completed' THEN 'stopped' ELSE ? END, "
        "reason = ?, result = ?, ended_at = ?, updated_at = ?, lease_until = NULL, holder = NULL "
        "WHERE id = ? AND fence = ? AND ended_at IS NULL RETURNING *",
        outcome.status,
        outcome.status,
        None if outcome.reason is None else _told(transaction, row, "reason", outcome.reason),
        result,
        moment,
        moment,
        hold.job_id,
        hold.fence,
    )
    if not rows:
        return None
    job = job_of(rows[0], transaction.seals)
    modes.forget_lines(transaction, job.id, job.account, job.region)
    return job


def say(transaction: Transaction, hold: Hold, lines: Sequence[tuple[int, datetime, str]]) -> None:
    """Write numbered lines; one that is there already stays as it is. The caller has written under this fence before."""
    if not lines:
        return
    row = transaction.one("SELECT id, account_id, region FROM jobs WHERE id = ?", hold.job_id)
    assert row is not None
    for first in range(0, len(lines), LINES_AT_ONCE):
        some = lines[first : first + LINES_AT_ONCE]
        rows = ", ".join(["(?, ?, ?, ?, ?)"] * len(some))
        transaction.execute(
            f"INSERT INTO job_lines (job_id, fence, number, said_at, line) VALUES {rows} ON CONFLICT DO NOTHING",  # noqa: S608
            *(
                value
                for number, said_at, line in some
                for value in (
                    hold.job_id,
                    hold.fence,
                    number,
                    at(said_at),
                    _kept(transaction, row, line, line_place(hold.job_id, hold.fence, number)),
                )
            ),
        )
    transaction.execute(
        "DELETE FROM job_lines WHERE job_id = ? AND fence = ? AND number <= ?",
        hold.job_id,
        hold.fence,
        lines[-1][0] - KEPT_LINES,
    )


def _held(transaction: Transaction, hold: Hold) -> Row | None:
    """Whose the job is, and what it was; None: it is lost, or had ended."""
    return transaction.one(
        "SELECT id, account_id, region, state, crashes FROM jobs WHERE id = ? AND fence = ? AND ended_at IS NULL",
        hold.job_id,
        hold.fence,
    )


def _sealed(transaction: Transaction, row: Row, column: str, text: str) -> str:
    return sealed(transaction, row["account_id"], row["region"], text, place(row["id"], column))


def _told(transaction: Transaction, row: Row, column: str, text: str) -> str:
    return _kept(transaction, row, text, place(row["id"], column))


def _kept(transaction: Transaction, row: Row, text: str, where: str) -> str:
    """What was said, or why it is not kept: a key that is disabled must not hold up jobs of others."""
    try:
        return sealed(transaction, row["account_id"], row["region"], text, where)
    except Unreadable as problem:
        return problem.message


def _before(transaction: Transaction, row: Row) -> str | None:
    """The checkpoint that is there."""
    if row["state"] is None:
        return None
    try:
        return opened(transaction.seals, row["state"], place(row["id"], "state"))
    except Damaged:
        return None


def _marks(values: Collection[str]) -> str:
    return ", ".join("?" * len(values)) or "NULL"


def _progress(transaction: Transaction, hold: Hold, now: datetime, progress: Progress) -> None:
    transaction.execute(
        "UPDATE jobs SET done = ?, total = ?, metrics = ?, progress_at = ? WHERE id = ? AND fence = ?",
        progress.done,
        progress.total,
        to_json(progress.metrics),
        at(now),
        hold.job_id,
        hold.fence,
    )
