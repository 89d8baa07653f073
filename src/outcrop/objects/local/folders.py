"""A folder of the operator's as a bucket that can be read: its files, dropped there by whatever means, are the objects."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from outcrop.objects.local.listing import common_prefix
from outcrop.objects.local.rows import Bucket, Found, Part
from outcrop.objects.names import key_bytes
from outcrop.objects.objects import Page, Stored


class Folder:
    """A key is a file's path below the folder, with slashes. Links that lead out of the folder are not there."""

    def __init__(self, path: Path, name: str, account: str) -> None:
        self._root = path.resolve()
        self.bucket = Bucket(name, account, "us-east-1", datetime.fromtimestamp(0, UTC))

    def find(self, key: str) -> Found | None:
        path = self._path(key)
        if path is None or not path.is_file():
            return None
        stored = self._stored(key, path.stat())
        return Found(stored.etag, stored, (Part(key, 1, stored.size, stored.etag, stored.modified_at, None),))

    def open(self, key: str) -> BinaryIO:
        """FileNotFoundError if it is no longer there."""
        path = self._path(key)
        if path is None:
            raise FileNotFoundError(key)
        return path.open("rb", buffering=0)

    def list(self, prefix: str, delimiter: str, after: str, limit: int) -> Page:
        objects: list[Stored] = []
        prefixes: list[str] = []
        last = ""
        for key, status in self._walk("", prefix, delimiter, after):
            common = key if status is None else common_prefix(key, prefix, delimiter)
            if (prefixes and common == prefixes[-1]) or (common is not None and common == after):
                continue
            if len(objects) + len(prefixes) >= limit:
                return Page(tuple(objects), tuple(prefixes), last if limit > 0 else None)
            if common is not None:
                prefixes.append(common)
            elif status is not None:
                objects.append(self._stored(key, status))
            last = key if common is None else common
        return Page(tuple(objects), tuple(prefixes))

    def _walk(self, base: str, prefix: str, delimiter: str, after: str) -> Iterator[tuple[str, os.stat_result | None]]:
        """Keys in the order of their bytes; a folder that `/` rolls up is told without a status, and not walked."""
        for name, entry in self._entries(base):
            key = base + name
            if not (key.startswith(prefix) or prefix.startswith(key)):
                continue
            if not name.endswith("/"):
                if key.startswith(prefix) and key_bytes(key) > key_bytes(after):
                    yield key, entry.stat()
            elif delimiter == "/" and key.startswith(prefix) and key != prefix:
                if key_bytes(key) > key_bytes(after) and next(self._walk(key, "", "", ""), None) is not None:
                    yield key, None
            elif key_bytes(key) + b"\xff" > key_bytes(after):
                yield from self._walk(key, prefix, delimiter, after)

    def _entries(self, base: str) -> Sequence[tuple[str, os.DirEntry[str]]]:
        """Of one folder, each as it stands in keys, which is what orders them."""
        found = []
        with os.scandir(self._root / base) as entries:
            for entry in entries:
                if not _is_text(entry.name) or (entry.is_symlink() and self._path(base + entry.name) is None):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    found.append((f"{entry.name}/", entry))
                elif entry.is_file():
                    found.append((entry.name, entry))
        return sorted(found, key=lambda pair: key_bytes(pair[0]))

    def _path(self, key: str) -> Path | None:
        """None for a key that is no plain path below the folder."""
        segments = key.split("/")
        if any(segment in ("", ".", "..") for segment in segments) or "\0" in key or os.sep != "/":
            return None
        try:
            path = (self._root / key).resolve(strict=True)
        except (OSError, RuntimeError):
            return None
        return path if path.is_relative_to(self._root) else None

    def _stored(self, key: str, status: os.stat_result) -> Stored:
        """The ETag changes with the file, and ends as those do that are no MD5."""
        known = f"{status.st_ino} {status.st_mtime_ns} {status.st_size}"
        etag = hashlib.blake2b(known.encode(), digest_size=16).hexdigest() + "-1"
        modified = datetime.fromtimestamp(int(status.st_mtime), UTC)
        return Stored(self.bucket.name, key, status.st_size, etag, modified)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
