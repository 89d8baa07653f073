"""Files of bytes. Each is written once under a name of its own, and is an object's only once the database says so.

`objects/_drafts/NAME` while it is written, `objects/BUCKET/NA/NAME` from just before it is published. What a crash leaves
behind belongs to nobody and is swept away when it is a day old.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from outcrop.encryption.envelope import KEY_BYTES
from outcrop.encryption.files import Sealing
from outcrop.objects.checksums import Running, encoded, running
from outcrop.store.ids import LOWER_DIGITS, new_id
from outcrop.store.keyfile import sync_folder

# No bucket can be called this.
DRAFTS = "_drafts"
ABANDONED_SECONDS = 24 * 3600.0


class Draft:
    """Bytes on their way in, with their digests, which are of the plain bytes as `size` is. `publish` or `discard` it.

    `key` is the data key of one that is encrypted: without it the file is noise from its first byte on.
    """

    def __init__(self, path: Path, algorithms: Collection[str] = (), *, sealed: bool = False) -> None:
        self.path = path
        self.size = 0
        self.key = os.urandom(KEY_BYTES) if sealed else None
        self._sealing = None if self.key is None else Sealing(self.key)
        self._file = path.open("xb", buffering=0)
        if self._sealing is not None:
            self._write(self._sealing.header)
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._running: dict[str, Running] = {algorithm: running(algorithm) for algorithm in algorithms}

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def md5(self) -> bytes:
        return self._md5.digest()

    @property
    def etag(self) -> str:
        return self._md5.hexdigest()

    def digest(self, algorithm: str) -> bytes:
        return self._running[algorithm].digest()

    def checksum(self, algorithm: str) -> str:
        return encoded(self.digest(algorithm))

    def write(self, block: bytes) -> None:
        """OSError if the disk is full, say."""
        self._md5.update(block)
        for each in self._running.values():
            each.update(block)
        self._write(block if self._sealing is None else b"".join(self._sealing.feed(block)))
        self.size += len(block)

    def _write(self, block: bytes) -> None:
        rest = memoryview(block)
        while rest:
            rest = rest[self._file.write(rest) :]

    def sync(self) -> None:
        if self._sealing is not None:
            self._write(self._sealing.finish())
        os.fsync(self._file.fileno())
        self._file.close()

    def discard(self) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)


class Blobs:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._drafts = folder / DRAFTS
        self._drafts.mkdir(mode=0o700, parents=True, exist_ok=True)

    def draft(self, algorithms: Collection[str] = (), *, sealed: bool = False) -> Draft:
        return Draft(self._drafts / new_id(24, LOWER_DIGITS), algorithms, sealed=sealed)

    def publish(self, bucket: str, draft: Draft) -> str:
        """On disk, whole, and in its place when it returns; its name."""
        draft.sync()
        path = self._place(bucket, draft.name)
        draft.path.rename(path)
        sync_folder(path.parent)
        return draft.name

    def duplicate(self, bucket: str, blob: str, target: str) -> str:
        """The same bytes under a name of their own; costs nothing where the disk can link."""
        name = new_id(24, LOWER_DIGITS)
        source, path = self.path(bucket, blob), self._place(target, name)
        try:
            path.hardlink_to(source)
        except FileNotFoundError:
            raise
        except OSError:
            shutil.copyfile(source, path)
            with path.open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(path.parent)
        return name

    def open(self, bucket: str, blob: str) -> BinaryIO:
        return self.path(bucket, blob).open("rb", buffering=0)

    def remove(self, bucket: str, blobs: Collection[str]) -> None:
        for blob in blobs:
            self.path(bucket, blob).unlink(missing_ok=True)

    def remove_bucket(self, bucket: str) -> None:
        """Folders only; a file in them belongs to an object that was put meanwhile, or is swept later."""
        for folder in (*(self.folder / bucket).glob("*"), self.folder / bucket):
            with contextlib.suppress(OSError):
                folder.rmdir()

    def path(self, bucket: str, blob: str) -> Path:
        return self.folder / bucket / blob[:2] / blob

    def sweep(self, wanted: Callable[[str], bool], now: float | None = None) -> int:
        """Remove files that were not written to for a day and that are not `wanted`; how many."""
        before = (time.time() if now is None else now) - ABANDONED_SECONDS
        removed = 0
        for path in self._files():
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                # A link's own age is in the time of its last change; its bytes may be much older.
                if max(status.st_mtime, status.st_ctime) < before and not wanted(path.name):
                    path.unlink()
                    removed += 1
        return removed

    def _files(self) -> Iterator[Path]:
        yield from self._drafts.iterdir()
        for bucket in self.folder.iterdir():
            if bucket.name != DRAFTS:
                yield from bucket.glob("*/*")

    def _place(self, bucket: str, blob: str) -> Path:
        path = self.path(bucket, blob)
        if not path.parent.exists():
            for folder in (path.parent.parent, path.parent):
                folder.mkdir(mode=0o700, exist_ok=True)
                sync_folder(folder.parent)
        return path
