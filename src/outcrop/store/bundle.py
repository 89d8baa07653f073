"""Files in a backup: their bytes one behind the other in `NAME/content`, and what they are, in the same order, in `NAME/files.jsonl`.

A line of that list is a path, a size and a SHA-256; the list's own SHA-256 is in the manifest. Any number of files takes no
more memory than one.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO

import msgspec
import orjson

BLOCK_BYTES = 1024 * 1024

# Called with a number of bytes that are done.
Progress = Callable[[int], None]


class ArchiveError(Exception):
    """A sentence for the person who backs up or restores."""


@dataclass(frozen=True, slots=True)
class File:
    """`path` is relative, with slashes. Its first `size` bytes count, whatever is written behind them meanwhile."""

    path: str
    size: int
    open: Callable[[], BinaryIO]


class Bundle(msgspec.Struct, frozen=True):
    """`digest` is that of the list. `absent`: files that should be there and were not when the backup was made."""

    files: int
    bytes: int
    digest: str
    absent: int = 0


def opened(path: Path) -> BinaryIO:
    """For `File.open`, with the path put in."""
    return path.open("rb")


def write(archive: zipfile.ZipFile, name: str, files: Iterable[File], progress: Progress) -> Bundle:
    """ArchiveError for a file that is shorter than it was; OSError."""
    count, total, digest = 0, 0, hashlib.sha256()
    with tempfile.TemporaryFile() as listed:
        # Bytes of objects are encrypted or packed already, as a rule: no time is spent on packing them.
        content = zipfile.ZipInfo(_content(name))
        with archive.open(content, "w", force_zip64=True) as target:
            for file in files:
                found = _copied(file, target, progress)
                line = orjson.dumps([file.path, file.size, found], option=orjson.OPT_APPEND_NEWLINE)
                listed.write(line)
                digest.update(line)
                count, total = count + 1, total + file.size
        listed.seek(0)
        with archive.open(_list(name), "w", force_zip64=True) as target:
            shutil.copyfileobj(listed, target)
    return Bundle(count, total, digest.hexdigest())


def extract(archive: zipfile.ZipFile, name: str, bundle: Bundle, folder: Path, progress: Progress) -> None:
    """Write all files below `folder`, readable by their owner only, on disk when it returns.

    ArchiveError if anything differs from what was put in: then what is in `folder` is worth nothing.
    """
    count, total, digest = 0, 0, hashlib.sha256()
    with archive.open(_list(name)) as lines, archive.open(_content(name)) as content:
        for line in lines:
            digest.update(line)
            path, size, expected = _entry(name, line)
            target = folder / path
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                if _moved(content, file, size, progress) != expected:
                    raise ArchiveError(f"The backup is damaged: {name}/{path} is not as it was when it was put in.")
            count, total = count + 1, total + size
        if (count, total, digest.hexdigest()) != (bundle.files, bundle.bytes, bundle.digest) or content.read(1):
            raise ArchiveError(f"The backup is damaged: its {name} are not those that were put in.")
    # One for all of them: a sync for each would take most of the time.
    os.sync()


def _copied(file: File, target: IO[bytes], progress: Progress) -> str:
    with file.open() as source:
        return _moved(source, target, file.size, progress, file.path)


def _moved(source: IO[bytes], target: IO[bytes], size: int, progress: Progress, name: str = "") -> str:
    """So many bytes from one to the other; their SHA-256. What is missing is noticed by it, or told if `name` says of what."""
    digest, left = hashlib.sha256(), size
    while left:
        block = source.read(min(left, BLOCK_BYTES))
        if not block:
            if name:
                raise ArchiveError(f"{name} was cut short while it was read.")
            return "cut short"
        target.write(block)
        digest.update(block)
        left -= len(block)
        progress(len(block))
    return digest.hexdigest()


def _entry(name: str, line: bytes) -> tuple[PurePosixPath, int, str]:
    try:
        path, size, digest = orjson.loads(line)
        place = PurePosixPath(path)
        safe = not place.is_absolute() and place.parts and not {"..", ""} & set(place.parts) and "\0" not in path
        if not safe or not isinstance(size, int) or size < 0:
            raise ValueError
    except (ValueError, TypeError):
        raise ArchiveError(f"The backup is damaged: a line of its list of {name} names no file.") from None
    return place, size, digest


def _content(name: str) -> str:
    return f"{name}/content"


def _list(name: str) -> str:
    return f"{name}/files.jsonl"
