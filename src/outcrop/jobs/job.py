"""A job as a value: one row of the table, read. It moves by being written again, never in place."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast

import orjson

from outcrop.store.database import Row
from outcrop.store.seals import MARK, Damaged, Seals, Unreadable, opened

Status = Literal["queued", "running", "stopping", "completed", "failed", "stopped"]

# Columns that may hold what an account's data says.
SEALED = ("input", "state", "result", "reason", "problem")

# A job only ever moves to the right: queued, running, stopping, and then one of the three ends.
ORDER: dict[Status, int] = {"queued": 0, "running": 1, "stopping": 2, "completed": 3, "failed": 3, "stopped": 3}


@dataclass(frozen=True, slots=True)
class Job:
    """`input` is what it was created with, `state` its last checkpoint, `result` what it ended with: JSON values.

    `reason` says why it failed. `fence` counts the attempts: the number of the one that holds it, or held it last.
    `crashes` are those since the last checkpoint, and `problem` is the last of them. `locked` says why its content cannot be
    read (the account's key is disabled); it is None then.
    """

    id: str
    account: str
    region: str
    kind: str
    name: str | None
    input: Any
    status: Status
    reason: str | None
    result: Any
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    stop_at: datetime | None
    ended_at: datetime | None
    fence: int
    holder: str | None
    lease_until: datetime | None
    not_before: datetime
    crashes: int
    problem: str | None
    state: Any
    done: float | None
    total: float | None
    metrics: dict[str, float]
    locked: str | None = None

    @property
    def ended(self) -> bool:
        return self.ended_at is not None


@dataclass(frozen=True, slots=True)
class Line:
    """What a job said; `position` grows from line to line, over all attempts."""

    fence: int
    number: int
    said_at: datetime
    text: str

    @property
    def position(self) -> tuple[int, int]:
        return self.fence, self.number


def job_of(row: Row, seals: Seals | None) -> Job:
    """With its content as far as it can be read."""
    locked = None
    try:
        content = {column: _opened(row, column, seals) for column in SEALED}
    except (Unreadable, Damaged) as problem:
        locked = str(problem)
        content = {column: None if (row[column] or "").startswith(MARK) else row[column] for column in SEALED}
    return Job(
        id=row["id"],
        account=row["account_id"],
        region=row["region"],
        kind=row["kind"],
        name=row["name"],
        input=from_json(content["input"]),
        status=cast(Status, row["status"]),
        reason=content["reason"],
        result=from_json(content["result"]),
        created_at=datetime.fromisoformat(row["created_at"]),
        updated_at=datetime.fromisoformat(row["updated_at"]),
        started_at=_time(row["started_at"]),
        stop_at=_time(row["stop_at"]),
        ended_at=_time(row["ended_at"]),
        fence=row["fence"],
        holder=row["holder"],
        lease_until=_time(row["lease_until"]),
        not_before=datetime.fromisoformat(row["not_before"]),
        crashes=row["crashes"],
        problem=content["problem"],
        state=from_json(content["state"]),
        done=row["done"],
        total=row["total"],
        metrics=from_json(row["metrics"]) or {},
        locked=locked,
    )


def place(job_id: str, column: str) -> str:
    """What a sealed value of a job is bound to."""
    return f"jobs {job_id} {column}"


def line_place(job_id: str, fence: int, number: int) -> str:
    return f"job_lines {job_id} {fence} {number}"


def _opened(row: Row, column: str, seals: Seals | None) -> str | None:
    text = row[column]
    return None if text is None else opened(seals, text, place(row["id"], column))


def at(moment: datetime) -> str:
    """As the table holds times: all of one width, so that they compare as texts."""
    return moment.isoformat(timespec="milliseconds")


def to_json(value: object) -> str:
    """Sorted, so that equal values are equal texts. TypeError for what is not JSON."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def from_json(text: str | None) -> Any:
    return None if text is None else orjson.loads(text)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
