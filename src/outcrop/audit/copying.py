"""The trail as files for a backup, whole and verifiable though the server writes on.

What says how far the trail had come is read first, the records last: so they are never fewer than it says.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import Path

from outcrop.audit import digests
from outcrop.audit.trail import HEAD, digests_of, logs_of
from outcrop.store.bundle import File, opened
from outcrop.store.connection import Connection

TAIL_BYTES = 64 * 1024


class TrailFiles:
    name = "audit"
    absent = 0

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._first: list[File] = []

    def hold(self, connection: Connection) -> bool:
        """Its small files are kept in memory as they are now."""
        signed = digests_of(self._folder)
        beside = [path.with_name(path.name.removesuffix(digests.DIGEST) + digests.SIGNATURE) for path in signed]
        paths = (self._folder / HEAD, self._folder / digests.KEY, self._folder / digests.PUBLIC, *signed, *beside)
        self._first = [self._kept(path) for path in paths if path.exists()]
        return True

    def files(self) -> Iterator[File]:
        yield from self._first
        for path in logs_of(self._folder):
            yield File(self._name(path), _whole_lines(path), partial(opened, path))

    def release(self) -> None:
        self._first = []

    def _kept(self, path: Path) -> File:
        data = path.read_bytes()
        return File(self._name(path), len(data), partial(BytesIO, data))

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()


def _whole_lines(path: Path) -> int:
    """Bytes up to the end of the last whole record."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        while end:
            start = max(0, end - TAIL_BYTES)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                return start + found + 1
            end = start
    return 0
