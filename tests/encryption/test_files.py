"""Files in chunks: any range is what it was, and nothing of the file can be changed without being noticed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outcrop.encryption.files import CHUNK_BYTES, HEADER_BYTES, TAG_BYTES, SealedFile, Sealing, sealed_size
from outcrop.store.seals import Damaged

KEY = bytes(range(32))
CONTENT = os.urandom(3 * CHUNK_BYTES + 5)
STRIDE = CHUNK_BYTES + TAG_BYTES
BORDERS = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 2 * CHUNK_BYTES, 3 * CHUNK_BYTES]


def written(path: Path, pieces: Sequence[bytes], key: bytes = KEY) -> Path:
    sealing = Sealing(key)
    path.write_bytes(
        sealing.header + b"".join(chunk for piece in pieces for chunk in sealing.feed(piece)) + sealing.finish()
    )
    return path


def read(
    path: Path, size: int, start: int = 0, stop: int | None = None, *, key: bytes = KEY, step: int = 1 << 20
) -> bytes:
    with SealedFile(path.open("rb", buffering=0), key, size, "a test") as file:
        file.seek(start)
        left, got = (size if stop is None else stop) - start, b""
        while True:
            block = file.read(min(step, left))
            got += block
            left -= len(block)
            if not block or not left:
                return got


positions = st.one_of(st.sampled_from(BORDERS), st.integers(0, len(CONTENT)))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(size=positions, cuts=st.lists(positions, max_size=4), data=st.data())
def test_any_range_of_any_size_in_any_pieces(tmp_path: Path, size: int, cuts: list[int], data: Any) -> None:
    edges = [0, *sorted(min(cut, size) for cut in cuts), size]
    path = written(tmp_path / "file", [CONTENT[one:two] for one, two in pairwise(edges)])
    assert path.stat().st_size == sealed_size(size)
    start = data.draw(st.integers(0, size))
    stop = data.draw(st.integers(start, size))
    step = data.draw(st.sampled_from([1 << 20, 100_000, CHUNK_BYTES]))
    assert read(path, size, start, stop, step=step) == CONTENT[start:stop]


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, len(CONTENT)])
def test_every_flipped_bit_is_noticed(tmp_path: Path, size: int) -> None:
    path = written(tmp_path / "file", [CONTENT[:size]])
    whole = path.read_bytes()
    for at in {0, HEADER_BYTES - 1, HEADER_BYTES, len(whole) // 2, len(whole) - 1, *range(0, len(whole), 9973)}:
        changed = bytearray(whole)
        changed[at] ^= 1
        path.write_bytes(changed)
        with pytest.raises(Damaged):
            read(path, size)


def test_chunks_stay_where_they_are(tmp_path: Path) -> None:
    path = written(tmp_path / "file", [CONTENT])
    whole = path.read_bytes()
    chunks = [whole[at : at + STRIDE] for at in range(HEADER_BYTES, len(whole), STRIDE)]
    header = whole[:HEADER_BYTES]
    forged = {
        "swapped": ([chunks[1], chunks[0], *chunks[2:]], len(CONTENT)),
        "twice": ([chunks[0], chunks[0], *chunks[2:]], len(CONTENT)),
        "cut off at a border": (chunks[:3], 3 * CHUNK_BYTES),
        "cut off inside": ([*chunks[:3], chunks[3][:-1]], len(CONTENT)),
        "left out": ([chunks[0], *chunks[2:]], 2 * CHUNK_BYTES + 5),
        "longer": ([*chunks, chunks[3]], len(CONTENT)),
        "nothing": ([], 0),
    }
    noticed = []
    for name, (some, size) in forged.items():
        path.write_bytes(header + b"".join(some))
        try:
            read(path, size)
        except Damaged:
            noticed.append(name)
    assert noticed == [*forged]


def test_files_of_one_key_do_not_mix(tmp_path: Path) -> None:
    one, two = (written(tmp_path / name, [CONTENT]).read_bytes() for name in ("one", "two"))
    assert one[HEADER_BYTES:] != two[HEADER_BYTES:]
    path = tmp_path / "mixed"
    path.write_bytes(one[: HEADER_BYTES + STRIDE] + two[HEADER_BYTES + STRIDE :])
    with pytest.raises(Damaged):
        read(path, len(CONTENT))
    with pytest.raises(Damaged):
        read(tmp_path / "one", len(CONTENT), key=bytes(32))


def test_an_intact_chunk_is_read_from_a_file_whose_other_one_is_not(tmp_path: Path) -> None:
    """A range costs its own chunks only."""
    path = written(tmp_path / "file", [CONTENT])
    whole = bytearray(path.read_bytes())
    whole[HEADER_BYTES] ^= 1
    path.write_bytes(whole)
    assert read(path, len(CONTENT), CHUNK_BYTES) == CONTENT[CHUNK_BYTES:]
