"""Multipart uploads: parts come in any order and are the object's files as they are, so that completing one moves no bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import orjson

from outcrop.objects import checksums
from outcrop.objects.checksums import Checksum, Kind
from outcrop.objects.errors import ObjectsError, no_such_bucket
from outcrop.objects.local import rows
from outcrop.objects.local.blobs import Draft
from outcrop.objects.local.rows import Described, Part
from outcrop.objects.local.store import Condition, LocalStore, whatever
from outcrop.objects.names import key_bytes
from outcrop.objects.objects import Stored
from outcrop.store.database import Database, Row, Transaction
from outcrop.store.ids import new_id

MOST_PARTS = 10_000
# Of all parts but the last.
SMALLEST_PART = 5 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    id: str
    bucket: str
    key: str
    initiated_at: datetime
    described: Described
    algorithm: str | None
    kind: Kind | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """A part as the completing request names it."""

    number: int
    etag: str
    checksum: str | None = None


def begin(
    store: LocalStore, bucket: str, key: str, described: Described, algorithm: str | None, kind: Kind | None
) -> Upload:
    store.check_writable(bucket)
    described = Described(store.sealing.headers(store.bucket(bucket), described.headers), described.metadata)
    upload = Upload(new_id(48), bucket, key, store.clock(), described, algorithm, kind)
    with store.database.transaction() as transaction:
        if rows.bucket(transaction, bucket) is None:
            raise no_such_bucket(bucket)
        transaction.execute(
            "INSERT INTO object_uploads (id, bucket, key, initiated_at, headers, metadata, algorithm, kind) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            upload.id,
            bucket,
            key_bytes(key),
            rows.iso(upload.initiated_at),
            rows.text(described.headers),
            rows.text(described.metadata),
            algorithm,
            kind,
        )
    return upload


def find(database: Database | Transaction, bucket: str, key: str, upload_id: str) -> Upload:
    row = database.one(
        "SELECT * FROM object_uploads WHERE id = ? AND bucket = ? AND key = ?", upload_id, bucket, key_bytes(key)
    )
    if row is None:
        raise ObjectsError(
            "NoSuchUpload",
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
            "completed.",
            {"UploadId": upload_id[:256]},
        )
    return _upload(row)


def of_bucket(database: Database, bucket: str) -> list[Upload]:
    """Those that are neither completed nor aborted, by key and then by id."""
    found = database.query("SELECT * FROM object_uploads WHERE bucket = ? ORDER BY key, id", bucket)
    return [_upload(row) for row in found]


def add_part(store: LocalStore, upload: Upload, number: int, draft: Draft) -> Part:
    """On disk when it returns, in the place of an earlier one with that number. The draft is used up."""
    checksum = None if upload.algorithm is None else draft.checksum(upload.algorithm)
    sealed = store.sealing.wrapped(draft, store.bucket(upload.bucket), upload.described.headers)
    blob = store.blobs.publish(upload.bucket, draft)
    part = Part(blob, number, draft.size, draft.etag, store.clock(), checksum, sealed)
    try:
        with store.database.transaction() as transaction:
            find(transaction, upload.bucket, upload.key, upload.id)
            gone = rows.add_part(transaction, upload.id, part)
    except ObjectsError:
        store.blobs.remove(upload.bucket, [part.blob])
        raise
    store.blobs.remove(upload.bucket, gone)
    return part


def abort(store: LocalStore, upload: Upload) -> None:
    with store.database.transaction() as transaction:
        find(transaction, upload.bucket, upload.key, upload.id)
        gone = rows.drop_parts(transaction, upload.id)
        transaction.execute("DELETE FROM object_uploads WHERE id = ?", upload.id)
    store.blobs.remove(upload.bucket, gone)


def complete(
    store: LocalStore,
    bucket: str,
    key: str,
    upload_id: str,
    wanted: Sequence[Wanted],
    *,
    full_checksum: str | None = None,
    condition: Condition = whatever,
) -> Stored:
    """The parts, in their order, are the object from now on. Completed a second time, it is what it was the first time."""
    database = store.database
    there = rows.find(database, bucket, key)
    if there is not None and there.id == upload_id:
        return there.stored
    with database.transaction() as transaction:
        upload = find(transaction, bucket, key, upload_id)
        parts = _chosen(rows.parts_of(transaction, upload_id), wanted)
        stored = Stored(
            bucket,
            key,
            sum(part.size for part in parts),
            _etag(parts),
            store.clock(),
            upload.described.headers,
            upload.described.metadata,
            _checksum(upload, parts),
        )
        if full_checksum is not None and (stored.checksum is None or stored.checksum.value != full_checksum):
            raise bad_digest(upload.algorithm or "checksum")
        before = rows.find(transaction, bucket, key)
        condition(None if before is None else before.stored)
        gone = rows.drop_parts(transaction, upload_id, keep=[part.number for part in parts])
        gone += rows.replace(transaction, upload_id, stored)
        transaction.execute("DELETE FROM object_uploads WHERE id = ?", upload_id)
    store.blobs.remove(bucket, gone)
    return stored


def bad_digest(algorithm: str) -> ObjectsError:
    return ObjectsError("BadDigest", f"The {algorithm} you specified did not match the calculated checksum.")


def _chosen(there: Sequence[Part], wanted: Sequence[Wanted]) -> list[Part]:
    if not wanted:
        raise ObjectsError("MalformedXML", "You must specify at least one part")
    if any(one.number >= two.number for one, two in pairwise(wanted)):
        raise ObjectsError(
            "InvalidPartOrder", "The list of parts was not in ascending order. Parts must be ordered by part number."
        )
    by_number = {part.number: part for part in there}
    chosen = [_as_wanted(by_number.get(one.number), one) for one in wanted]
    for part in chosen[:-1]:
        if part.size < SMALLEST_PART:
            raise ObjectsError(
                "EntityTooSmall",
                "Your proposed upload is smaller than the minimum allowed size",
                {
                    "ProposedSize": str(part.size),
                    "MinSizeAllowed": str(SMALLEST_PART),
                    "PartNumber": str(part.number),
                    "ETag": part.etag,
                },
            )
    return chosen


def _as_wanted(part: Part | None, wanted: Wanted) -> Part:
    if part is None or part.etag != wanted.etag or (wanted.checksum is not None and wanted.checksum != part.checksum):
        raise ObjectsError(
            "InvalidPart",
            "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified "
            "entity tag may not match the part's entity tag.",
            {"PartNumber": str(wanted.number), "ETag": wanted.etag},
        )
    return part


def _etag(parts: Sequence[Part]) -> str:
    joined = b"".join(bytes.fromhex(part.etag) for part in parts)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(parts)}"


def _checksum(upload: Upload, parts: Sequence[Part]) -> Checksum | None:
    if upload.algorithm is None:
        return None
    known = [(part.checksum or "", part.size) for part in parts]
    if upload.kind == "FULL_OBJECT":
        return checksums.combined(upload.algorithm, known)
    return checksums.composite(upload.algorithm, [value for value, _ in known])


def _upload(row: Row) -> Upload:
    return Upload(
        row["id"],
        row["bucket"],
        bytes(row["key"]).decode(),
        rows.moment(row["initiated_at"]),
        Described(orjson.loads(row["headers"]), orjson.loads(row["metadata"])),
        row["algorithm"],
        row["kind"],
    )
