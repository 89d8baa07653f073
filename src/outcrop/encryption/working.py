"""Files that another process works with for the length of a job, under a key that is in the job's checkpoint and in that
process's environment, and so never on a disk as it is. Without a key they are plain.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from outcrop.encryption.envelope import KEY_BYTES
from outcrop.encryption.files import CHUNK_BYTES, HEADER_BYTES, MAGIC, TAG_BYTES, SealedFile, Sealing
from outcrop.store.seals import Damaged

# Where the process finds the key.
VARIABLE = "OUTCROP_FILES_KEY"


class Sink(Protocol):
    def write(self, block: bytes, /) -> object: ...


def new_key() -> str:
    return base64.b64encode(os.urandom(KEY_BYTES)).decode()


@contextmanager
def created(path: Path, key: str | None) -> Iterator[Sink]:
    """The file, to be written from its beginning to its end."""
    with path.open("wb") as file:
        if key is None:
            yield file
            return
        sealing = Sealing(base64.b64decode(key))
        file.write(sealing.header)
        yield _Sealed(file, sealing)
        file.write(sealing.finish())


def opened(path: Path, key: str | None) -> BinaryIO:
    """The plain bytes of a file, encrypted or not. OSError; Damaged, at the start or as it is read."""
    file = path.open("rb", buffering=0)
    try:
        if file.read(len(MAGIC)) != MAGIC:
            file.seek(0)
            return io.BufferedReader(file)
        if key is None:
            raise Damaged(f"{path.name} is encrypted, and there is no key to open it with.")
        return io.BufferedReader(_Plain(SealedFile(file, base64.b64decode(key), _size(file), path.name)), CHUNK_BYTES)
    except BaseException:
        file.close()
        raise


def is_empty(path: Path, key: str | None) -> bool:
    with opened(path, key) as file:
        return not file.read(1)


class _Sealed:
    def __init__(self, file: BinaryIO, sealing: Sealing) -> None:
        self._file = file
        self._sealing = sealing

    def write(self, block: bytes, /) -> int:
        for chunk in self._sealing.feed(block):
            self._file.write(chunk)
        return len(block)


class _Plain(io.RawIOBase):
    """What a buffered reader reads."""

    def __init__(self, file: SealedFile) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # any writable buffer
        block = self._file.read(len(buffer))
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        self._file.close()
        super().close()


def _size(file: io.FileIO) -> int:
    """Plain bytes in a sealed file of that length."""
    body = max(os.fstat(file.fileno()).st_size - HEADER_BYTES, 0)
    return max(body - TAG_BYTES * -(-body // (CHUNK_BYTES + TAG_BYTES)), 0)
