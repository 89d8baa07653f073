"""Buckets and objects of the data folder. Knows no accounts but as owners of buckets; who may do what is asked before."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO

from outcrop.encryption.files import SealedFile
from outcrop.encryption.keys import Keys
from outcrop.objects.checksums import Checksum
from outcrop.objects.errors import ObjectsError, access_denied, no_such_bucket, no_such_key
from outcrop.objects.local import listing, rows
from outcrop.objects.local.blobs import Blobs, Draft
from outcrop.objects.local.folders import Folder
from outcrop.objects.local.rows import Bucket, Described, Found, Part
from outcrop.objects.local.sealing import Sealing
from outcrop.objects.names import check_bucket
from outcrop.objects.objects import CHUNK_BYTES, Page, Reading, Stored, checked_range
from outcrop.store.database import Database, IntegrityError
from outcrop.store.ids import new_id
from outcrop.store.seals import Damaged

# Raises if what is there (None: nothing) is not what the writer expects; called in the transaction that writes.
Condition = Callable[[Stored | None], None]

# Files opened before the first byte is sent, so that they can be read to the end though the object is written over. The
# rest of an object of more parts is opened as it comes, and a reader that is overtaken there fails rather than mixes.
OPEN_AHEAD = 64


def whatever(there: Stored | None) -> None:
    """The condition that always holds."""


class LocalStore:
    """`folders` are buckets that are folders of the operator's, which can be read only. All else is encrypted with `keys`."""

    def __init__(
        self,
        database: Database,
        folder: Path,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        folders: Mapping[str, Folder] | None = None,
        keys: Keys | None = None,
    ) -> None:
        self.database = database
        self.sealing = Sealing(keys)
        self.blobs = Blobs(folder)
        self.clock = clock
        self._folders = folders or {}

    def sweep_aside(self) -> None:
        """Remove what crashes left behind, in a thread that ends with the process."""
        threading.Thread(target=self._sweep, name="objects-sweep", daemon=True).start()

    def _sweep(self) -> None:
        # Whatever ends it (the database is closed at shutdown), the next start tries again.
        with contextlib.suppress(Exception):
            self.blobs.sweep(lambda blob: rows.is_wanted(self.database, blob))

    def create_bucket(self, name: str, account: str, region: str) -> Bucket:
        check_bucket(name)
        if (given := self._folders.get(name)) is not None:
            raise _bucket_taken(name, own=given.bucket.account == account)
        made = Bucket(name, account, region, self.clock())
        try:
            with self.database.transaction() as transaction:
                transaction.execute(
                    "INSERT INTO buckets (name, account_id, region, created_at) VALUES (?, ?, ?, ?)",
                    name,
                    account,
                    region,
                    rows.iso(made.created_at),
                )
        except IntegrityError:
            there = rows.bucket(self.database, name)
            raise _bucket_taken(name, own=there is not None and there.account == account) from None
        return made

    def delete_bucket(self, name: str) -> None:
        """BucketNotEmpty while it has objects; uploads that were not completed are forgotten with it."""
        self.check_writable(name)
        with self.database.transaction() as transaction:
            if transaction.one("SELECT 1 AS one FROM objects WHERE bucket = ? LIMIT 1", name) is not None:
                raise ObjectsError(
                    "BucketNotEmpty", "The bucket you tried to delete is not empty", {"BucketName": name}
                )
            gone: list[str] = []
            for row in transaction.query("SELECT id FROM object_uploads WHERE bucket = ?", name):
                gone += rows.drop_parts(transaction, row["id"])
            transaction.execute("DELETE FROM object_uploads WHERE bucket = ?", name)
            if not transaction.execute("DELETE FROM buckets WHERE name = ?", name):
                raise no_such_bucket(name)
        self.blobs.remove(name, gone)
        self.blobs.remove_bucket(name)

    def bucket(self, name: str) -> Bucket:
        if (folder := self._folders.get(name)) is not None:
            return folder.bucket
        found = rows.bucket(self.database, name)
        if found is None:
            raise no_such_bucket(name)
        return found

    def buckets_of(self, account: str) -> list[Bucket]:
        given = [folder.bucket for folder in self._folders.values() if folder.bucket.account == account]
        return sorted([*rows.buckets_of(self.database, account), *given], key=lambda bucket: bucket.name)

    def check_writable(self, bucket: str) -> None:
        if self.is_folder(bucket):
            raise access_denied(f"The bucket {bucket} is a folder of this server that can only be read.")

    def find(self, bucket: str, key: str) -> Found:
        found = self._find(bucket, key)
        if found is None:
            raise no_such_key(key)
        return found

    def is_folder(self, bucket: str) -> bool:
        return bucket in self._folders

    def _find(self, bucket: str, key: str) -> Found | None:
        folder = self._folders.get(bucket)
        return rows.find(self.database, bucket, key) if folder is None else folder.find(key)

    def draft(self, headers: Mapping[str, str], algorithms: Collection[str] = ()) -> Draft:
        """For what is put with these headers, which may name a key."""
        return self.blobs.draft(algorithms, sealed=self.sealing.is_wanted(headers))

    def publish(
        self,
        bucket: str,
        key: str,
        draft: Draft,
        described: Described,
        *,
        checksum: Checksum | None = None,
        condition: Condition = whatever,
    ) -> Stored:
        """The draft's bytes are the object from now on, on disk when it returns. The draft is used up."""
        self.check_writable(bucket)
        now, place = self.clock(), self.bucket(bucket)
        headers = self.sealing.headers(place, described.headers)
        stored = Stored(bucket, key, draft.size, draft.etag, now, headers, described.metadata, checksum)
        sealed = self.sealing.wrapped(draft, place, headers)
        blob = self.blobs.publish(bucket, draft)
        part = Part(blob, 1, draft.size, draft.etag, now, None if checksum is None else checksum.value, sealed)
        self.write(stored, [part], condition)
        return stored

    def delete(self, bucket: str, key: str, condition: Condition = whatever) -> None:
        self.check_writable(bucket)
        with self.database.transaction() as transaction:
            found = rows.find(transaction, bucket, key)
            condition(None if found is None else found.stored)
            gone = rows.remove(transaction, bucket, key)
        self.blobs.remove(bucket, gone)

    def open(self, bucket: str, key: str, start: int = 0, stop: int | None = None) -> Reading:
        """NoSuchKey, InvalidRange."""
        while True:
            found = self.find(bucket, key)
            try:
                return self.reading(found, *checked_range(start, stop, found.stored.size))
            except FileNotFoundError:
                # Written over or deleted since; if neither, the file itself is lost.
                again = self._find(bucket, key)
                if again is not None and again.id == found.id:
                    raise

    def reading(self, found: Found, start: int, stop: int) -> Reading:
        """FileNotFoundError if it was written over meanwhile."""
        bucket = found.stored.bucket
        pieces = [
            (self._opening(bucket, part), offset, length) for part, offset, length in _pieces(found.parts, start, stop)
        ]
        stack = contextlib.ExitStack()
        files: list[BinaryIO | SealedFile] = []
        try:
            for opening, _, _ in pieces[:OPEN_AHEAD]:
                files.append(opening())
                stack.callback(files[-1].close)
        except BaseException:
            stack.close()
            raise

        def chunks() -> Iterator[bytes]:
            for index, (opening, offset, length) in enumerate(pieces):
                file = files[index] if index < len(files) else opening()
                with contextlib.closing(file):
                    file.seek(offset)
                    while length:
                        chunk = file.read(min(CHUNK_BYTES, length))
                        if not chunk:
                            raise OSError(f"The file of {found.stored.uri} is shorter than it was.")
                        length -= len(chunk)
                        yield chunk

        return Reading(found.stored, chunks(), stack.close)

    def _opening(self, bucket: str, part: Part) -> Callable[[], BinaryIO | SealedFile]:
        """Opens the file of a part. What is wrong with its key is told now."""
        if (folder := self._folders.get(bucket)) is not None:
            return partial(folder.open, part.blob)
        key = self.sealing.data_key(part)

        def opened() -> BinaryIO | SealedFile:
            file = self.blobs.open(bucket, part.blob)
            if key is None:
                return file
            try:
                return SealedFile(file, key, part.size, f"the bucket {bucket}")
            except Damaged:
                file.close()
                raise

        return opened

    def list(self, bucket: str, prefix: str, delimiter: str, after: str, limit: int) -> Page:
        if (folder := self._folders.get(bucket)) is not None:
            return folder.list(prefix, delimiter, after, limit)
        return listing.listed(self.database, bucket, prefix, delimiter, after, limit)

    def write(self, stored: Stored, parts: Sequence[Part], condition: Condition) -> None:
        """The files are the object from now on, or are removed."""
        object_id = new_id(32)
        try:
            with self.database.transaction() as transaction:
                there = rows.find(transaction, stored.bucket, stored.key)
                condition(None if there is None else there.stored)
                gone = rows.replace(transaction, object_id, stored)
                for part in parts:
                    rows.add_part(transaction, object_id, part)
        except ObjectsError:
            # Anything else may have been committed all the same; what was not is swept later.
            self.blobs.remove(stored.bucket, [part.blob for part in parts])
            raise
        self.blobs.remove(stored.bucket, gone)


def _pieces(parts: tuple[Part, ...], start: int, stop: int) -> Iterator[tuple[Part, int, int]]:
    """Each part that the range touches, the offset in its file, and the length."""
    begin = 0
    for part in parts:
        first, last = max(start - begin, 0), min(stop - begin, part.size)
        if first < last:
            yield part, first, last - first
        begin += part.size


def _bucket_taken(name: str, *, own: bool) -> ObjectsError:
    if own:
        return ObjectsError(
            "BucketAlreadyOwnedByYou",
            "Your previous request to create the named bucket succeeded and you already own it.",
            {"BucketName": name},
        )
    return ObjectsError(
        "BucketAlreadyExists",
        "The requested bucket name is not available. The bucket namespace is shared by all users of the system. "
        "Please select a different name and try again.",
        {"BucketName": name},
    )
