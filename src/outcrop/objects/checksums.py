"""Checksums of objects: the five that S3 takes, each as base64 of its big-endian bytes, of whole objects and of parts."""

from __future__ import annotations

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Protocol, TypeAlias

Kind: TypeAlias = Literal["FULL_OBJECT", "COMPOSITE"]

# Bytes of each.
ALGORITHMS = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8, "SHA1": 20, "SHA256": 32}
# What can be told of a whole object from its parts.
COMBINABLE = frozenset({"CRC32", "CRC32C", "CRC64NVME"})


@dataclass(frozen=True, slots=True)
class Checksum:
    """`value` of a composite one ends with the number of parts: `AAAA==-3`."""

    algorithm: str
    value: str
    kind: Kind = "FULL_OBJECT"

    @property
    def header(self) -> str:
        return header_of(self.algorithm)

    @property
    def element(self) -> str:
        return f"Checksum{self.algorithm}"


class Running(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def digest(self) -> bytes: ...


class _Crc:
    def __init__(self, step: Callable[[bytes, int], int], size: int) -> None:
        self._step, self._size, self._value = step, size, 0

    def update(self, data: bytes, /) -> None:
        self._value = self._step(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


def header_of(algorithm: str) -> str:
    return f"x-amz-checksum-{algorithm.lower()}"


def running(algorithm: str) -> Running:
    """One that takes the bytes as they come."""
    if algorithm == "CRC32":
        return _Crc(zlib.crc32, 4)
    if algorithm in COMBINABLE:
        return _Crc(_model(algorithm).calc, ALGORITHMS[algorithm])
    return hashlib.new(algorithm, usedforsecurity=False)


def encoded(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def is_valid(algorithm: str, value: str) -> bool:
    try:
        return len(base64.b64decode(value, validate=True)) == ALGORITHMS[algorithm]
    except (ValueError, binascii.Error):
        return False


def composite(algorithm: str, parts: Sequence[str]) -> Checksum:
    """The checksum of the parts' checksums."""
    whole = running(algorithm)
    for part in parts:
        whole.update(base64.b64decode(part))
    return Checksum(algorithm, f"{encoded(whole.digest())}-{len(parts)}", "COMPOSITE")


def combined(algorithm: str, parts: Sequence[tuple[str, int]]) -> Checksum:
    """The checksum of the whole, from those of its parts and their sizes, without their bytes."""
    value = 0
    for part, size in parts:
        value = _model(algorithm).combine(value, int.from_bytes(base64.b64decode(part), "big"), size)
    return Checksum(algorithm, encoded(value.to_bytes(ALGORITHMS[algorithm], "big")))


@cache
def _model(algorithm: str) -> Any:
    from anycrc import Model

    return Model({"CRC64NVME": "CRC64-NVME"}.get(algorithm, algorithm))
