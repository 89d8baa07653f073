"""The files of all objects of one moment, held for a backup while the server writes on.

A file never changes, but goes with its object. So each gets a second name first, which costs nothing where the disk can
link, and is read by that. What a killed backup leaves behind is swept away by the server when it is a day old.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from outcrop.store.bundle import File, opened
from outcrop.store.connection import Connection
from outcrop.store.ids import LOWER_DIGITS, new_id

ROWS_AT_ONCE = 5000
# No bucket can be called this.
PREFIX = "_backup-"


class HeldObjects:
    """`folder` is that of the objects. `absent` files are named by rows and are not here: with another server, or lost."""

    name = "objects"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held = folder / f"{PREFIX}{new_id(12, LOWER_DIGITS)}"
        self._missing: set[str] = set()
        self.absent = 0

    def hold(self, connection: Connection) -> bool:
        """False if files were deleted between these rows and now: then newer rows must be looked at.

        A file that is missed by two looks in a row, though the rows of the second still name it, is not here at all.
        """
        missing = {blob for bucket, blob in _blobs(connection) if not self._link(bucket, blob)}
        gone, self._missing = missing - self._missing, missing
        self.absent = len(missing)
        return not gone

    def files(self) -> Iterator[File]:
        if not self._held.exists():
            return
        for bucket in sorted(self._held.iterdir()):
            for entry in os.scandir(bucket):
                place = f"{bucket.name}/{entry.name[:2]}/{entry.name}"
                yield File(place, entry.stat().st_size, partial(opened, Path(entry.path)))

    def release(self) -> None:
        shutil.rmtree(self._held, ignore_errors=True)

    def _link(self, bucket: str, blob: str) -> bool:
        held = self._held / bucket / blob
        if held.exists():
            return True
        source = self._folder / bucket / blob[:2] / blob
        held.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            held.hardlink_to(source)
        except FileNotFoundError:
            return False
        except OSError:
            return _copy(source, held)
        return True


def _copy(source: Path, target: Path) -> bool:
    """Where the disk cannot link."""
    try:
        shutil.copyfile(source, target)
    except FileNotFoundError:
        return False
    return True


def _blobs(connection: Connection) -> Iterator[tuple[str, str]]:
    """Bucket and name of every file, those of uploads that are under way included."""
    last = ""
    while True:
        rows = connection.query(
            "SELECT part.blob AS blob, coalesce(object.bucket, upload.bucket) AS bucket FROM object_parts AS part "
            "LEFT JOIN objects AS object ON object.id = part.owner "
            "LEFT JOIN object_uploads AS upload ON upload.id = part.owner "
            "WHERE part.blob > ? ORDER BY part.blob LIMIT ?",
            (last, ROWS_AT_ONCE),
        )
        yield from ((row["bucket"], row["blob"]) for row in rows if row["bucket"] is not None)
        if len(rows) < ROWS_AT_ONCE:
            return
        last = rows[-1]["blob"]
