"""Files in chunks that are encrypted each by itself: the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár (2015).

A header, then chunks of 64 KiB, each AES-256-GCM under the file's own key with its tag behind it. A chunk's nonce is the
file's prefix, the chunk's number and whether it is the last: no chunk can be left out, put elsewhere, cut off or taken from
another file without being noticed, and any range is read without the rest.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from types import TracebackType
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from outcrop.store.seals import Damaged

CHUNK_BYTES = 64 * 1024
TAG_BYTES = 16
MAGIC = b"outcrop\x01"
PREFIX_BYTES = 7
HEADER_BYTES = len(MAGIC) + PREFIX_BYTES


class Sealing:
    """Turns a file's plain bytes into those that are written. `header` comes first, what `finish` gives last."""

    def __init__(self, key: bytes) -> None:
        self.header = MAGIC + os.urandom(PREFIX_BYTES)
        self._cipher = AESGCM(key)
        self._number = 0
        # The newest chunk waits: only the end tells whether it is the last.
        self._waiting = bytearray()

    def feed(self, block: bytes) -> Iterator[bytes]:
        rest = memoryview(block)
        if self._waiting and len(self._waiting) + len(rest) > CHUNK_BYTES:
            taken = CHUNK_BYTES - len(self._waiting)
            self._waiting += rest[:taken]
            rest = rest[taken:]
            yield self._chunk(self._waiting, last=False)
            self._waiting = bytearray()
        while len(rest) > CHUNK_BYTES:
            yield self._chunk(rest[:CHUNK_BYTES], last=False)
            rest = rest[CHUNK_BYTES:]
        self._waiting += rest

    def finish(self) -> bytes:
        return self._chunk(self._waiting, last=True)

    def _chunk(self, plain: bytearray | memoryview, *, last: bool) -> bytes:
        nonce = _nonce(self.header, self._number, last=last)
        self._number += 1
        return self._cipher.encrypt(nonce, plain, self.header)


class SealedFile:
    """The plain bytes of a sealed file of `size` plain bytes. Holds no more than what is read at once.

    Damaged, at the start or as it is read, if it is not what was written. `place` is for the sentence.
    """

    def __init__(self, file: BinaryIO, key: bytes, size: int, place: str) -> None:
        self._file = file
        self._cipher = AESGCM(key)
        self._size = size
        self._place = place
        self._position = 0
        self._last = max(size - 1, 0) // CHUNK_BYTES
        self._header = self._raw(0, HEADER_BYTES)
        if self._header[: len(MAGIC)] != MAGIC or os.fstat(file.fileno()).st_size != sealed_size(size):
            raise self._damaged()

    def seek(self, position: int) -> int:
        self._position = position
        return position

    def read(self, size: int) -> bytes:
        """At most so many bytes, to the end of a chunk rather than into it; none at the end."""
        start, stop = self._position, min(self._position + size, self._size)
        if start >= stop:
            self._check_empty()
            return b""
        first, end = start // CHUNK_BYTES, stop // CHUNK_BYTES
        if stop < self._size and end > first:
            stop = end * CHUNK_BYTES
        last = (stop - 1) // CHUNK_BYTES
        plain = b"".join(self._chunks(first, last))
        self._position = stop
        return plain[start - first * CHUNK_BYTES : stop - first * CHUNK_BYTES]

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> SealedFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _chunks(self, first: int, last: int) -> Iterator[bytes]:
        stride = CHUNK_BYTES + TAG_BYTES
        end = sealed_size(self._size) if last == self._last else HEADER_BYTES + (last + 1) * stride
        raw = memoryview(self._raw(HEADER_BYTES + first * stride, end))
        for number in range(first, last + 1):
            at = (number - first) * stride
            nonce = _nonce(self._header, number, last=number == self._last)
            try:
                yield self._cipher.decrypt(nonce, raw[at : at + stride], self._header)
            except (InvalidTag, ValueError):
                raise self._damaged() from None

    def _check_empty(self) -> None:
        """An empty file has a chunk as well, which holds nothing and says that it is the last."""
        if self._size == 0:
            for _ in self._chunks(0, 0):
                pass

    def _raw(self, start: int, stop: int) -> bytes:
        self._file.seek(start)
        found = self._file.read(stop - start)
        while len(found) < stop - start and (more := self._file.read(stop - start - len(found))):
            found += more
        return found

    def _damaged(self) -> Damaged:
        return Damaged(f"The file of {self._place} was altered: it cannot be decrypted.")


def sealed_size(size: int) -> int:
    """Bytes on disk of so many plain ones."""
    chunks = max(1, -(-size // CHUNK_BYTES))
    return HEADER_BYTES + size + chunks * TAG_BYTES


def _nonce(header: bytes, number: int, *, last: bool) -> bytes:
    return header[len(MAGIC) :] + number.to_bytes(4, "big") + bytes([last])
