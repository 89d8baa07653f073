"""`Objects` of one account in the data folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from outcrop.objects.errors import ObjectsError, access_denied, precondition_failed
from outcrop.objects.local import copying
from outcrop.objects.local.rows import Described
from outcrop.objects.local.sealing import KEY, METHOD, NAMED
from outcrop.objects.local.store import LocalStore, whatever
from outcrop.objects.names import Uri, parse, parse_object
from outcrop.objects.objects import CHUNK_BYTES, CONTENT_TYPE, LARGEST_PAGE, Body, Page, Reading, Stored


class LocalObjects:
    def __init__(self, store: LocalStore, account: str) -> None:
        self._store = store
        self._account = account

    def head(self, uri: str) -> Stored:
        at = self._of(parse_object(uri))
        return self._store.find(at.bucket, at.key).stored

    def exists(self, uri: str) -> bool:
        try:
            self.head(uri)
        except ObjectsError as problem:
            if problem.code != "NoSuchKey":
                raise
            return False
        return True

    def open(self, uri: str, start: int = 0, stop: int | None = None) -> Reading:
        at = self._of(parse_object(uri))
        return self._store.open(at.bucket, at.key, start, stop)

    def get(self, uri: str, start: int = 0, stop: int | None = None) -> bytes:
        with self.open(uri, start, stop) as reading:
            return reading.read()

    def put(
        self,
        uri: str,
        body: Body,
        *,
        content_type: str = CONTENT_TYPE,
        metadata: Mapping[str, str] | None = None,
        only_new: bool = False,
        key: str | None = None,
    ) -> Stored:
        at = self._of(parse_object(uri))
        encryption = {} if key is None else {METHOD: NAMED, KEY: key}
        described = Described({"content-type": content_type, **encryption}, metadata or {})
        draft = self._store.draft(described.headers)
        try:
            for block in blocks(body):
                draft.write(block)
            condition = _must_be_new if only_new else whatever
            return self._store.publish(at.bucket, at.key, draft, described, condition=condition)
        finally:
            draft.discard()

    def list(self, uri: str, *, delimiter: str = "", after: str = "", limit: int = LARGEST_PAGE) -> Page:
        at = self._of(parse(uri))
        return self._store.list(at.bucket, at.key, delimiter, after, limit)

    def delete(self, uri: str) -> None:
        at = self._of(parse_object(uri))
        self._store.delete(at.bucket, at.key)

    def copy(self, source: str, target: str) -> Stored:
        at, to = self._of(parse_object(source)), self._of(parse_object(target))
        return copying.copy(self._store, self._store.find(at.bucket, at.key), to.bucket, to.key)

    def _of(self, at: Uri) -> Uri:
        if self._store.bucket(at.bucket).account != self._account:
            raise access_denied()
        return at


def blocks(body: Body) -> Iterator[bytes]:
    """The bytes in pieces that are worth writing; those of an iterable are joined or left as they are."""
    if isinstance(body, bytes):
        yield body
    elif isinstance(body, Path):
        with body.open("rb") as file:
            while block := file.read(CHUNK_BYTES):
                yield block
    else:
        yield from _joined(body)


def _joined(pieces: Iterable[bytes]) -> Iterator[bytes]:
    waiting: list[bytes] = []
    size = 0
    for piece in pieces:
        waiting.append(piece)
        size += len(piece)
        if size >= CHUNK_BYTES:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


def _must_be_new(there: Stored | None) -> None:
    if there is not None:
        raise precondition_failed("If-None-Match")
