"""What rooms do with jobs: create, find, list, stop, remove. Each change is one statement inside the room's transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from outcrop.jobs.job import Job, Line, Status, at, job_of, line_place, place, to_json
from outcrop.store import paging
from outcrop.store.database import Database, Row, Transaction
from outcrop.store.ids import new_id
from outcrop.store.seals import Damaged, Seals, Unreadable, opened, sealed


class TokenReused(Exception):
    """The client's token made another job, from another body."""


class NameTaken(Exception):
    """A job of this kind that has this name exists, and names of the kind are unique."""


class Created(NamedTuple):
    """`is_new` is false where an earlier call with the same token made the job."""

    job: Job
    is_new: bool


def create(
    transaction: Transaction,
    account: str,
    region: str,
    kind: str,
    body: object,
    token: str | None = None,
    *,
    now: datetime,
    name: str | None = None,
    unique_name: bool = False,
    job_id: str | None = None,
) -> Created:
    """Write a queued job; with a token that was used before, and the same body and name, the job that it made.

    `body` is JSON: all that the request says, since it is what a repeated token is compared by. Raises TokenReused and
    NameTaken. The conflict is found by the insert itself, so that any number of callers at once make one job.
    """
    input_ = to_json(body)
    digest = hashlib.sha256(to_json([name, input_]).encode()).hexdigest()
    job_id = job_id or new_id()
    moment = at(now)
    row = _first(
        transaction.query(
            "INSERT INTO jobs (id, account_id, region, kind, name, unique_name, input, client_token, request_hash, "
            "status, created_at, updated_at, fence, not_before, crashes) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued', ?, ?, 0, ?, 0) ON CONFLICT DO NOTHING RETURNING *",
            job_id,
            account,
            region,
            kind,
            name,
            name if unique_name else None,
            sealed(transaction, account, region, input_, place(job_id, "input")),
            token,
            digest,
            moment,
            moment,
            moment,
        )
    )
    if row is not None:
        return Created(job_of(row, transaction.seals), True)
    earlier = transaction.one(
        "SELECT * FROM jobs WHERE account_id = ? AND region = ? AND kind = ? AND client_token = ?",
        account,
        region,
        kind,
        token,
    )
    if earlier is None:
        raise NameTaken(name)
    if earlier["request_hash"] != digest:
        raise TokenReused(token)
    return Created(job_of(earlier, transaction.seals), False)


def find(database: Database | Transaction, account: str, region: str, kind: str, job_id: str) -> Job | None:
    """The job with this id, or the newest that has this name. Unreadable if its key is disabled."""
    owner = (account, region, kind)
    row = database.one("SELECT * FROM jobs WHERE id = ? AND account_id = ? AND region = ? AND kind = ?", job_id, *owner)
    if row is None:
        row = database.one(
            "SELECT * FROM jobs WHERE account_id = ? AND region = ? AND kind = ? AND name = ? "
            "ORDER BY created_at DESC LIMIT 1",
            *owner,
            job_id,
        )
    return None if row is None else _readable(job_of(row, database.seals))


def page(
    database: Database,
    account: str,
    region: str,
    kind: str,
    max_results: int | None,
    token: str | None,
    *,
    key: bytes,
    statuses: Collection[Status] = (),
    name_contains: str | None = None,
    created_after: datetime | None = None,
    created_before: datetime | None = None,
    descending: bool = True,
) -> tuple[list[Job], str | None]:
    """Jobs in the order of their creation, and the next page's token; `key` and refused tokens as in `store.paging`."""
    filters = (sorted(statuses), name_contains, created_after, created_before, descending)
    positions = _positions(database, account, region, kind, statuses, name_contains, created_after, created_before)
    if descending:
        positions.reverse()
    chosen, following = paging.page(
        positions,
        max_results,
        token,
        query=f"jobs {account} {region} {kind} {filters}",
        key=key,
        position=str,
        descending=descending,
    )
    return _with_ids(database, [position.rpartition(" ")[2] for position in chosen]), following


def stop(transaction: Transaction, account: str, region: str, kind: str, job_id: str, now: datetime) -> Job | None:
    """Ask an open job to stop: one that never ran has stopped, one that runs is stopping. None if none is open."""
    moment = at(now)
    row = _first(
        transaction.query(
            "UPDATE jobs SET status = CASE status WHEN 'queued' THEN 'stopped' ELSE 'stopping' END, "
            "ended_at = CASE status WHEN 'queued' THEN ? ELSE NULL END, "
            "stop_at = coalesce(stop_at, ?), updated_at = ?, "
            # A job that waits for its next attempt need not wait to be told that it is over.
            "not_before = CASE WHEN stop_at IS NULL THEN ? ELSE not_before END "
            "WHERE account_id = ? AND region = ? AND kind = ? AND id = ? AND ended_at IS NULL RETURNING *",
            moment,
            moment,
            moment,
            moment,
            account,
            region,
            kind,
            job_id,
        )
    )
    return None if row is None else job_of(row, transaction.seals)


def remove(transaction: Transaction, account: str, region: str, kind: str, job_id: str) -> bool:
    """Forget a job that has ended, and what it said; false if there is none."""
    ended = transaction.one(
        "SELECT id FROM jobs WHERE account_id = ? AND region = ? AND kind = ? AND id = ? AND ended_at IS NOT NULL",
        account,
        region,
        kind,
        job_id,
    )
    if ended is None:
        return False
    transaction.execute("DELETE FROM job_lines WHERE job_id = ?", job_id)
    transaction.execute("DELETE FROM jobs WHERE id = ?", job_id)
    return True


def lines(database: Database, job_id: str, after: tuple[int, int] = (0, 0), limit: int = 1000) -> list[Line]:
    """What a job said after the line at this position, oldest first."""
    rows = database.query(
        "SELECT * FROM job_lines WHERE job_id = ? AND (fence > ? OR (fence = ? AND number > ?)) "
        "ORDER BY fence, number LIMIT ?",
        job_id,
        after[0],
        after[0],
        after[1],
        limit,
    )
    return [_line(row, database.seals) for row in rows]


def last_lines(database: Database, job_id: str, limit: int) -> list[Line]:
    """The newest lines of a job, oldest first."""
    rows = database.query(
        "SELECT * FROM job_lines WHERE job_id = ? ORDER BY fence DESC, number DESC LIMIT ?", job_id, limit
    )
    return [_line(row, database.seals) for row in reversed(rows)]


def of_all_accounts(
    database: Database, kind: str | None = None, statuses: Collection[Status] = (), limit: int = 1000
) -> list[Job]:
    """For the operator: the newest jobs first."""
    conditions = ["1 = 1", *(["kind = ?"] if kind else []), *([f"status IN ({_marks(statuses)})"] if statuses else [])]
    rows = database.query(
        f"SELECT * FROM jobs WHERE {' AND '.join(conditions)} ORDER BY created_at DESC, id DESC LIMIT ?",  # noqa: S608
        *([kind] if kind else []),
        *statuses,
        limit,
    )
    return [job_of(row, database.seals) for row in rows]


def called(database: Database, name: str) -> list[Job]:
    """For the operator: the job with this id, or all that have this name, whosever they are."""
    rows = database.query("SELECT * FROM jobs WHERE id = ? OR name = ? ORDER BY created_at DESC", name, name)
    return [job_of(row, database.seals) for row in rows]


def _positions(
    database: Database,
    account: str,
    region: str,
    kind: str,
    statuses: Collection[Status],
    name_contains: str | None,
    created_after: datetime | None,
    created_before: datetime | None,
) -> list[str]:
    """`created_at id` of each job that the filters let through, ascending: no inputs, which may be large."""
    conditions: list[tuple[str, list[object]]] = [
        ("account_id = ? AND region = ? AND kind = ?", [account, region, kind])
    ]
    if statuses:
        conditions.append((f"status IN ({_marks(statuses)})", list(statuses)))
    if created_after is not None:
        conditions.append(("created_at >= ?", [at(created_after)]))
    if created_before is not None:
        conditions.append(("created_at <= ?", [at(created_before)]))
    where = " AND ".join(text for text, _ in conditions)
    params = [param for _, given in conditions for param in given]
    rows = database.query(f"SELECT id, name, created_at FROM jobs WHERE {where}", *params)  # noqa: S608
    # The name is looked at here: LIKE means different things by dialect and has letters of its own.
    kept = [row for row in rows if name_contains is None or name_contains in (row["name"] or "")]
    return sorted(f"{row['created_at']} {row['id']}" for row in kept)


def _with_ids(database: Database, ids: list[str]) -> list[Job]:
    if not ids:
        return []
    found = database.query(f"SELECT * FROM jobs WHERE id IN ({_marks(ids)})", *ids)  # noqa: S608
    rows = {row["id"]: row for row in found}
    return [_readable(job_of(rows[job_id], database.seals)) for job_id in ids if job_id in rows]


def _readable(job: Job) -> Job:
    if job.locked is not None:
        raise Unreadable(job.locked)
    return job


def _line(row: Row, seals: Seals | None) -> Line:
    """One that cannot be read says why."""
    fence, number = row["fence"], row["number"]
    try:
        text = opened(seals, row["line"], line_place(row["job_id"], fence, number))
    except (Unreadable, Damaged) as problem:
        text = f"(this line cannot be read: {problem})"
    return Line(fence, number, datetime.fromisoformat(row["said_at"]), text)


def _marks(values: Collection[object]) -> str:
    return ", ".join("?" * len(values))


def _first(rows: list[Row]) -> Row | None:
    return rows[0] if rows else None
