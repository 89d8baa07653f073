"""The database's part in it: buckets, objects and the files that they are made of. Nothing here touches a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from outcrop.objects.checksums import Checksum
from outcrop.objects.errors import no_such_bucket
from outcrop.objects.names import key_bytes
from outcrop.objects.objects import Stored
from outcrop.store.database import Database, Row, Transaction

LISTED = "bucket, key, size, etag, modified_at"


@dataclass(frozen=True, slots=True)
class Bucket:
    name: str
    account: str
    region: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Part:
    """A file of an object or of an upload; `checksum` is of the upload's algorithm.

    `sealed` is the wrapped data key of an encrypted one; all else is of its plain bytes.
    """

    blob: str
    number: int
    size: int
    etag: str
    modified_at: datetime
    checksum: str | None
    sealed: str | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """An object and its files."""

    id: str
    stored: Stored
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Described:
    """What comes with an object's bytes."""

    headers: Mapping[str, str]
    metadata: Mapping[str, str]


def bucket(database: Database | Transaction, name: str) -> Bucket | None:
    row = database.one("SELECT name, account_id, region, created_at FROM buckets WHERE name = ?", name)
    return None if row is None else _bucket(row)


def buckets_of(database: Database, account: str) -> list[Bucket]:
    rows = database.query(
        "SELECT name, account_id, region, created_at FROM buckets WHERE account_id = ? ORDER BY name", account
    )
    return [_bucket(row) for row in rows]


def find(database: Database | Transaction, bucket_name: str, key: str) -> Found | None:
    """The object with its files, as of one moment."""
    while True:
        row = database.one("SELECT * FROM objects WHERE bucket = ? AND key = ?", bucket_name, key_bytes(key))
        if row is None:
            return None
        # An object has a file at least: none is there if it was written over between the two reads.
        if found := parts_of(database, row["id"]):
            return Found(row["id"], stored_of(row), tuple(found))


def parts_of(database: Database | Transaction, owner: str) -> list[Part]:
    rows = database.query(
        "SELECT blob, number, size, etag, modified_at, checksum, sealed FROM object_parts "
        "WHERE owner = ? ORDER BY number",
        owner,
    )
    return [_part(row) for row in rows]


def replace(transaction: Transaction, object_id: str, stored: Stored) -> list[str]:
    """Write the object's row; the files of the one that was there before, which are nobody's now."""
    if bucket(transaction, stored.bucket) is None:
        raise no_such_bucket(stored.bucket)
    gone = remove(transaction, stored.bucket, stored.key)
    checksum = stored.checksum
    transaction.execute(
        "INSERT INTO objects (bucket, key, id, size, etag, modified_at, headers, metadata, checksum) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        stored.bucket,
        key_bytes(stored.key),
        object_id,
        stored.size,
        stored.etag,
        iso(stored.modified_at),
        text(stored.headers),
        text(stored.metadata),
        None if checksum is None else text([checksum.algorithm, checksum.value, checksum.kind]),
    )
    return gone


def remove(transaction: Transaction, bucket_name: str, key: str) -> list[str]:
    """Its files, which are nobody's now; none if there is no such object."""
    row = transaction.one("SELECT id FROM objects WHERE bucket = ? AND key = ?", bucket_name, key_bytes(key))
    if row is None:
        return []
    transaction.execute("DELETE FROM objects WHERE bucket = ? AND key = ?", bucket_name, key_bytes(key))
    return drop_parts(transaction, row["id"])


def add_part(transaction: Transaction, owner: str, part: Part) -> list[str]:
    """In the place of one with the same number; that one's file."""
    gone = transaction.query(
        "SELECT blob FROM object_parts WHERE owner = ? AND number = ?", owner, part.number
    )  # at most one
    transaction.execute("DELETE FROM object_parts WHERE owner = ? AND number = ?", owner, part.number)
    transaction.execute(
        "INSERT INTO object_parts (blob, owner, number, size, etag, modified_at, checksum, sealed) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        part.blob,
        owner,
        part.number,
        part.size,
        part.etag,
        iso(part.modified_at),
        part.checksum,
        part.sealed,
    )
    return [row["blob"] for row in gone]


def drop_parts(transaction: Transaction, owner: str, keep: Sequence[int] = ()) -> list[str]:
    """Forget the files of an object or an upload but for those with the numbers in `keep`."""
    kept = set(keep)
    gone = [part for part in parts_of(transaction, owner) if part.number not in kept]
    if not kept:
        transaction.execute("DELETE FROM object_parts WHERE owner = ?", owner)
    else:
        for part in gone:
            transaction.execute("DELETE FROM object_parts WHERE blob = ?", part.blob)
    return [part.blob for part in gone]


def is_wanted(database: Database, blob: str) -> bool:
    return database.one("SELECT 1 AS one FROM object_parts WHERE blob = ?", blob) is not None


def stored_of(row: Row) -> Stored:
    """Of a whole row, or of one of `LISTED`."""
    checksum = row.get("checksum")
    return Stored(
        bucket=row["bucket"],
        key=bytes(row["key"]).decode(),
        size=row["size"],
        etag=row["etag"],
        modified_at=moment(row["modified_at"]),
        headers=orjson.loads(row.get("headers", "{}")),
        metadata=orjson.loads(row.get("metadata", "{}")),
        checksum=None if checksum is None else Checksum(*orjson.loads(checksum)),
    )


def _part(row: Row) -> Part:
    return Part(
        row["blob"],
        row["number"],
        row["size"],
        row["etag"],
        moment(row["modified_at"]),
        row["checksum"],
        row["sealed"],
    )


def _bucket(row: Row) -> Bucket:
    return Bucket(row["name"], row["account_id"], row["region"], moment(row["created_at"]))


def text(value: Any) -> str:
    return orjson.dumps(value).decode()


def iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(stamp: str) -> datetime:
    return datetime.fromisoformat(stamp)
