"""The `aws-chunked` form of a body: chunks with their sizes and, where they are signed, signatures, and headers at the end."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator

from outcrop.objects.door.signatures import Seal
from outcrop.objects.errors import ObjectsError

# Of a line between chunks, and of all the headers at the end.
LONGEST_LINE = 4096


class Decoder:
    """Takes the bytes as they come and gives those of the object. `trailers` are complete once `finish` returns.

    With a seal every chunk must be signed, and so must the trailers where there are to be any.
    """

    def __init__(self, seal: Seal | None, *, trailing: bool) -> None:
        self._seal = seal
        self._trailing = trailing
        self._buffer = bytearray()
        self._left = 0
        self._state = "size"
        self._before = "" if seal is None else seal.seed
        self._claimed = ""
        self._hash = hashlib.sha256()
        self._trailer_bytes = 0
        self.trailers: dict[str, str] = {}

    def feed(self, data: bytes) -> Iterator[bytes]:
        """IncompleteBody or SignatureDoesNotMatch as soon as it shows; what was given before is worth nothing then."""
        self._buffer += data
        while self._state != "done":
            if self._state == "data":
                if not self._buffer:
                    return
                yield self._take()
            elif (line := self._line()) is None:
                return
            else:
                self._read(line)
        if self._buffer:
            raise incomplete("There is something after the end of the last chunk.")

    def finish(self) -> None:
        """IncompleteBody if the last chunk or the end of the headers after it has not come."""
        if self._state != "done":
            raise incomplete("The request body terminated unexpectedly")

    def _take(self) -> bytes:
        piece = bytes(self._buffer[: self._left])
        del self._buffer[: self._left]
        self._left -= len(piece)
        if self._seal is not None:
            self._hash.update(piece)
        if not self._left:
            self._state = "gap"
        return piece

    def _line(self) -> bytes | None:
        end = self._buffer.find(b"\n")
        if end < 0:
            if len(self._buffer) > LONGEST_LINE:
                raise _bad_trailer() if self._state == "trailers" else incomplete("A chunk's header is too long.")
            return None
        line = bytes(self._buffer[:end]).removesuffix(b"\r")
        del self._buffer[: end + 1]
        return line

    def _read(self, line: bytes) -> None:
        if self._state == "size":
            self._begin(line)
        elif self._state == "gap":
            if line:
                raise incomplete("A chunk is longer than its header says.")
            self._close_chunk()
            self._state = "size"
        elif line:
            self._trailer(line)
        else:
            self._end()

    def _begin(self, line: bytes) -> None:
        size, _, extension = line.partition(b";")
        self._claimed = extension.removeprefix(b"chunk-signature=").decode("latin-1")
        try:
            if not 1 <= len(size) <= 16:
                raise ValueError
            self._left = int(size, 16)
        except ValueError:
            raise incomplete("A chunk's header is not its size in hexadecimal digits.") from None
        if self._left:
            self._state = "data"
        else:
            self._close_chunk()
            self._state = "trailers"

    def _close_chunk(self) -> None:
        if self._seal is None:
            return
        expected = self._seal.of_chunk(self._before, self._hash.hexdigest())
        self._must_match(expected)
        self._before, self._hash = expected, hashlib.sha256()

    def _trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line)
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or self._trailer_bytes > LONGEST_LINE:
            raise _bad_trailer()
        self.trailers[name.strip().lower()] = value.strip()

    def _end(self) -> None:
        self._state = "done"
        claimed = self.trailers.pop("x-amz-trailer-signature", None)
        if self._seal is None or not self._trailing:
            return
        lines = "".join(f"{name}:{value}\n" for name, value in self.trailers.items())
        digest = hashlib.sha256(lines.encode("latin-1")).hexdigest()
        self._claimed = claimed or ""
        self._must_match(self._seal.of_trailer(self._before, digest))

    def _must_match(self, expected: str) -> None:
        if not hmac.compare_digest(expected.encode(), self._claimed.encode("latin-1", "replace")):
            raise ObjectsError(
                "SignatureDoesNotMatch",
                "The chunk signature we calculated does not match the signature you provided.",
            )


def _bad_trailer() -> ObjectsError:
    return ObjectsError("MalformedTrailerError", "The request contained trailing data that was not well-formed")


def incomplete(message: str) -> ObjectsError:
    return ObjectsError("IncompleteBody", message)
