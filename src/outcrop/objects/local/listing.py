"""Keys in the order of their bytes, page by page, with what they have in common up to a delimiter told once."""

from __future__ import annotations

from outcrop.objects.local import rows
from outcrop.objects.names import key_bytes
from outcrop.objects.objects import LARGEST_PAGE, Page, Stored
from outcrop.store.database import Database


def listed(database: Database, bucket: str, prefix: str, delimiter: str, after: str, limit: int) -> Page:
    """`after` is a key, or one of `prefixes` of the page before, of which nothing is told again."""
    if limit <= 0:
        return Page(())
    start, end = key_bytes(prefix), following(key_bytes(prefix))
    if after and key_bytes(after) >= start:
        start = _past(after, prefix, delimiter)
    objects: list[Stored] = []
    prefixes: list[str] = []
    last = ""
    while True:
        # One more than there is room for tells whether there is a next page.
        room = limit + 1 - len(objects) - len(prefixes)
        found = _rows(database, bucket, start, end, min(room, LARGEST_PAGE + 1))
        for stored in found:
            if key_bytes(stored.key) < start:
                continue
            if len(objects) + len(prefixes) == limit:
                return Page(tuple(objects), tuple(prefixes), last)
            common = common_prefix(stored.key, prefix, delimiter)
            if common is None:
                objects.append(stored)
                last = stored.key
                start = key_bytes(stored.key) + b"\0"
            else:
                prefixes.append(common)
                last = common
                start = following(key_bytes(common)) or b"\xff"
        if len(found) < min(room, LARGEST_PAGE + 1):
            return Page(tuple(objects), tuple(prefixes))


def common_prefix(key: str, prefix: str, delimiter: str) -> str | None:
    """`photos/` of `photos/a.jpg` with an empty prefix and `/`."""
    at = key.find(delimiter, len(prefix)) if delimiter else -1
    return None if at < 0 else key[: at + len(delimiter)]


def following(prefix: bytes) -> bytes | None:
    """The first key past all that begin with `prefix`; None past all keys. UTF-8 has no byte 255."""
    return prefix[:-1] + bytes([prefix[-1] + 1]) if prefix else None


def _past(after: str, prefix: str, delimiter: str) -> bytes:
    if after == common_prefix(after, prefix, delimiter):
        return following(key_bytes(after)) or b"\xff"
    return key_bytes(after) + b"\0"


def _rows(database: Database, bucket: str, start: bytes, end: bytes | None, limit: int) -> list[Stored]:
    found = database.query(
        f"SELECT {rows.LISTED} FROM objects WHERE bucket = ? AND key >= ? AND key < ? ORDER BY key LIMIT ?",  # noqa: S608
        bucket,
        start,
        b"\xff" if end is None else end,
        limit,
    )
    return [rows.stored_of(row) for row in found]
