"""What rooms do with objects. One interface, whatever holds the bucket; `ctx.objects` is it for the caller's account.

Everything blocks: call it in an operation that is a `def`, in a job, or through `asyncio.to_thread`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeAlias

from outcrop.objects.checksums import Checksum
from outcrop.objects.errors import ObjectsError

# Where nothing says what an object is.
CONTENT_TYPE = "binary/octet-stream"
CHUNK_BYTES = 1024 * 1024
LARGEST_PAGE = 1000

Body: TypeAlias = bytes | Path | Iterable[bytes]


@dataclass(frozen=True, slots=True)
class Stored:
    """What is known of an object. `etag` has no quotes; `headers` are those that come back as they were given, lower case.

    `metadata` is the user's own, without `x-amz-meta-`.
    """

    bucket: str
    key: str
    size: int
    etag: str
    modified_at: datetime
    headers: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    checksum: Checksum | None = None

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def content_type(self) -> str:
        return self.headers.get("content-type", CONTENT_TYPE)


@dataclass(frozen=True, slots=True)
class Page:
    """`prefixes` are what keys have in common up to the delimiter; `after` brings the next page, None on the last one."""

    objects: tuple[Stored, ...]
    prefixes: tuple[str, ...] = ()
    after: str | None = None


class Reading:
    """An open object: chunks of its bytes, of those of the range that was asked for. Close it, or use it in `with`."""

    def __init__(self, stored: Stored, chunks: Iterator[bytes], close: Callable[[], None]) -> None:
        self.stored = stored
        self._chunks = chunks
        self._close = close

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def read(self) -> bytes:
        return b"".join(self._chunks)

    def close(self) -> None:
        self._close()

    def __enter__(self) -> Reading:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Objects(Protocol):
    """All verbs raise ObjectsError: NoSuchBucket, NoSuchKey, AccessDenied, InvalidURI and what else S3 has."""

    def head(self, uri: str) -> Stored: ...

    def exists(self, uri: str) -> bool:
        """False for a key that is not there; a bucket that is not there is an error."""

    def open(self, uri: str, start: int = 0, stop: int | None = None) -> Reading:
        """The bytes from `start` up to `stop`, which may lie past the end. InvalidRange if `start` does."""

    def get(self, uri: str, start: int = 0, stop: int | None = None) -> bytes: ...

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
        """All of it or nothing. `only_new`: PreconditionFailed if the key is taken.

        `key`: the ARN of the key that encrypts it; without one it is the account's own.
        """

    def list(self, uri: str, *, delimiter: str = "", after: str = "", limit: int = LARGEST_PAGE) -> Page:
        """Objects whose URIs begin with `uri`, by the bytes of their keys; `after` is the previous page's, or a key.

        An object's `headers`, `metadata` and `checksum` are left empty.
        """

    def delete(self, uri: str) -> None:
        """A key that is not there is deleted as well as one that is."""

    def copy(self, source: str, target: str) -> Stored:
        """With headers and metadata."""


def walk(objects: Objects, uri: str) -> Iterator[Stored]:
    """All objects whose URIs begin with `uri`, page by page."""
    after: str | None = ""
    while after is not None:
        page = objects.list(uri, after=after)
        yield from page.objects
        after = page.after


def checked_range(start: int, stop: int | None, size: int) -> tuple[int, int]:
    """The bytes that there are of a range. An empty object has an empty range from 0."""
    end = size if stop is None else min(stop, size)
    if start < 0 or (start >= size and (start, size) != (0, 0)) or end < start:
        raise ObjectsError("InvalidRange", "The requested range is not satisfiable", {"ActualObjectSize": str(size)})
    return start, end
