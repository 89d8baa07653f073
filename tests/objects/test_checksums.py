"""Checksums against published check values, and of wholes from parts."""

from __future__ import annotations

import base64
import hashlib

import pytest

from outcrop.objects import checksums
from outcrop.objects.checksums import ALGORITHMS, COMBINABLE, Checksum

# Of "123456789": the catalogue of parametrised CRC algorithms, and NIST's hashes.
CHECKS = {
    "CRC32": "cbf43926",
    "CRC32C": "e3069283",
    "CRC64NVME": "ae8b14860a799888",
    "SHA1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    "SHA256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_check_values(algorithm: str) -> None:
    whole = checksums.running(algorithm)
    for piece in (b"1234", b"", b"56789"):
        whole.update(piece)
    assert whole.digest().hex() == CHECKS[algorithm]
    assert checksums.is_valid(algorithm, checksums.encoded(whole.digest()))


@pytest.mark.parametrize("algorithm", sorted(COMBINABLE))
def test_wholes_from_parts(algorithm: str) -> None:
    parts = [b"a" * 1000, b"", b"xyz", bytes(range(256)) * 33]
    known = [(of(algorithm, part), len(part)) for part in parts]
    assert checksums.combined(algorithm, known) == Checksum(algorithm, of(algorithm, b"".join(parts)))


@pytest.mark.parametrize("algorithm", [name for name in ALGORITHMS if name != "CRC64NVME"])
def test_composites(algorithm: str) -> None:
    parts = [of(algorithm, b"one"), of(algorithm, b"two")]
    joined = b"".join(base64.b64decode(part) for part in parts)
    assert checksums.composite(algorithm, parts) == Checksum(algorithm, f"{of(algorithm, joined)}-2", "COMPOSITE")


@pytest.mark.parametrize("value", ["", "abc", "AAAA", "AAAAAA==x", "!!!!!!==", hashlib.sha256(b"").hexdigest()])
def test_what_is_none(value: str) -> None:
    assert not any(checksums.is_valid(algorithm, value) for algorithm in ("CRC32", "CRC64NVME", "SHA256"))


def of(algorithm: str, content: bytes) -> str:
    whole = checksums.running(algorithm)
    whole.update(content)
    return checksums.encoded(whole.digest())
