"""The data retention mode of an account and region, and what goes when it becomes `none`.

Kept by Outcrop are the responses of OpenAI's interface that were to be stored, what evaluation jobs were answered, and
what ended jobs said. All else that holds an account's words is in its own buckets, by its own wish. The modes other than
`none` differ in whom the data may be shown to; Outcrop shows it to nobody, so here they are one.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from outcrop.store.database import Database, Transaction

NONE, DEFAULT = "none", "default"


class Retention(NamedTuple):
    """`updated_at` is None where the account never set a mode."""

    mode: str
    updated_at: datetime | None


def of(database: Database, account: str, region: str) -> Retention:
    row = database.one(
        "SELECT mode, updated_at FROM data_retention WHERE account_id = ? AND region = ?", account, region
    )
    return (
        Retention(DEFAULT, None) if row is None else Retention(row["mode"], datetime.fromisoformat(row["updated_at"]))
    )


def keeps_nothing(database: Database | Transaction, account: str, region: str) -> bool:
    row = database.one("SELECT mode FROM data_retention WHERE account_id = ? AND region = ?", account, region)
    return row is not None and row["mode"] == NONE


def without_retention(database: Database) -> frozenset[tuple[str, str]]:
    """All accounts and regions of which nothing is kept."""
    rows = database.query("SELECT account_id, region FROM data_retention WHERE mode = ?", NONE)
    return frozenset((row["account_id"], row["region"]) for row in rows)


def put(transaction: Transaction, account: str, region: str, mode: str, now: datetime) -> Retention:
    """With `none`, what was kept before goes in the same transaction."""
    moment = now.isoformat(timespec="milliseconds")
    transaction.execute(
        "INSERT INTO data_retention (account_id, region, mode, updated_at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (account_id, region) DO UPDATE SET mode = excluded.mode, updated_at = excluded.updated_at",
        account,
        region,
        mode,
        moment,
    )
    if mode == NONE:
        transaction.execute("DELETE FROM responses WHERE account_id = ? AND region = ?", account, region)
        transaction.execute("DELETE FROM evaluation_answers WHERE account_id = ? AND region = ?", account, region)
        transaction.execute(
            "DELETE FROM job_lines WHERE job_id IN "
            "(SELECT id FROM jobs WHERE account_id = ? AND region = ? AND ended_at IS NOT NULL)",
            account,
            region,
        )
    return Retention(mode, datetime.fromisoformat(moment))


def forget_lines(transaction: Transaction, job_id: str, account: str, region: str) -> None:
    """What a job said that ends just now, where nothing is kept."""
    if keeps_nothing(transaction, account, region):
        transaction.execute("DELETE FROM job_lines WHERE job_id = ?", job_id)
