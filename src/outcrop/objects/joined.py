"""`Objects` over all buckets of an account, wherever each of them is."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from outcrop.objects.local.objects import LocalObjects
from outcrop.objects.names import parse
from outcrop.objects.objects import CONTENT_TYPE, LARGEST_PAGE, Body, Objects, Page, Reading, Stored


class JoinedObjects:
    """`place` gives what has a bucket."""

    def __init__(self, place: Callable[[str], Objects]) -> None:
        self._place = place

    def head(self, uri: str) -> Stored:
        return self._at(uri).head(uri)

    def exists(self, uri: str) -> bool:
        return self._at(uri).exists(uri)

    def open(self, uri: str, start: int = 0, stop: int | None = None) -> Reading:
        return self._at(uri).open(uri, start, stop)

    def get(self, uri: str, start: int = 0, stop: int | None = None) -> bytes:
        return self._at(uri).get(uri, start, stop)

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
        return self._at(uri).put(uri, body, content_type=content_type, metadata=metadata, only_new=only_new, key=key)

    def list(self, uri: str, *, delimiter: str = "", after: str = "", limit: int = LARGEST_PAGE) -> Page:
        return self._at(uri).list(uri, delimiter=delimiter, after=after, limit=limit)

    def delete(self, uri: str) -> None:
        self._at(uri).delete(uri)

    def copy(self, source: str, target: str) -> Stored:
        """Between places the bytes pass through this process."""
        here, there = self._at(source), self._at(target)
        if here is there or (isinstance(here, LocalObjects) and isinstance(there, LocalObjects)):
            return here.copy(source, target)
        with here.open(source) as reading:
            stored = reading.stored
            return there.put(target, reading, content_type=stored.content_type, metadata=stored.metadata)

    def _at(self, uri: str) -> Objects:
        return self._place(parse(uri).bucket)
