"""GGUF headers: what is read of a sound one, and that no hostile one does anything but be refused with a sentence."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outcrop.engines.weights import WeightsError
from outcrop.engines.weights.gguf import inspect
from tests.engines.weights.builders import (
    ARRAY,
    FLOAT32,
    MODEL,
    TEXT,
    UINT32,
    array,
    gguf,
    number,
    string,
    strings,
    tensor,
    text,
)  # fmt: skip

HUGE = 2**63


def test_a_sound_file(tmp_path: Path) -> None:
    found = inspect(written(tmp_path, gguf()))
    assert (found.architecture, found.name, found.context_length, found.embedding_length) == ("llama", "small", 512, 32)
    assert (found.vocab_size, found.tokenizer_model, found.chat_template) == (100, "gpt2", "{{ messages }}")
    assert not found.is_embedding
    assert found.tensor_bytes == 32 * 4 * 4


@pytest.mark.parametrize("version", [2, 3])
def test_versions(tmp_path: Path, version: int) -> None:
    assert inspect(written(tmp_path, gguf(version=version))).architecture == "llama"


def test_an_embedding_model_says_how_it_pools(tmp_path: Path) -> None:
    assert inspect(written(tmp_path, gguf([*MODEL, number("llama.pooling_type", 1)]))).is_embedding
    assert not inspect(written(tmp_path, gguf([*MODEL, number("llama.pooling_type", 0)]))).is_embedding


def test_quantised_blocks_are_counted(tmp_path: Path) -> None:
    file = written(tmp_path, gguf(tensors=[tensor("w", (64, 3), kind=8)]))
    assert inspect(file).tensor_bytes == 64 * 3 // 32 * 34


def nested(depth: int) -> bytes:
    """The value of an array of arrays of arrays."""
    return struct.pack("<IQ", ARRAY, 1) * depth + struct.pack("<IQ", UINT32, 0)


HOSTILE: dict[str, bytes] = {
    "nothing": b"",
    "another magic": gguf(magic=b"GGML"),
    "magic alone": b"GGUF",
    "version 1": gguf(version=1),
    "big-endian version": gguf(version=3 << 24),
    "absurd tensors": gguf(counts=(HUGE, 7)),
    "absurd entries": gguf(counts=(1, HUGE)),
    "more entries than there are": gguf(counts=(1, 60_000)),
    "more tensors than there are": gguf(counts=(900_000, 7)),
    "no tensors": gguf(tensors=[]),
    "a key longer than the file": gguf([("k" * 70_000, UINT32, bytes(4)), *MODEL]),
    "a text of 2^63 bytes": gguf([("t", TEXT, struct.pack("<Q", HUGE)), *MODEL]),
    "a text beyond the end": gguf([("t", TEXT, struct.pack("<Q", 2**20)), *MODEL]),
    "an array of 2^63 numbers": gguf([array("a", FLOAT32, HUGE, b""), *MODEL]),
    "an array of 2^63 texts": gguf([array("a", TEXT, HUGE, b""), *MODEL]),
    "an array of 2^63 arrays": gguf([array("a", ARRAY, HUGE, b""), *MODEL]),
    "a text within an array beyond the end": gguf(
        [array("a", TEXT, 100, struct.pack("<Q", 2**62) + bytes(1000)), *MODEL]
    ),
    "arrays a thousand deep": gguf([("a", ARRAY, nested(1000)), *MODEL]),
    "an unknown kind of value": gguf([("a", 99, bytes(8)), *MODEL]),
    "a key twice": gguf([*MODEL, string("general.name", "other")]),
    "no architecture": gguf([string("general.name", "small")]),
    "an architecture that is a number": gguf([number("general.architecture", 3)]),
    "text that is not UTF-8": gguf([("t", TEXT, struct.pack("<Q", 2) + b"\xff\xfe"), *MODEL]),
    "alignment 0": gguf([*MODEL, number("general.alignment", 0)]),
    "alignment 3": gguf([*MODEL, number("general.alignment", 3)]),
    "alignment that is a text": gguf([*MODEL, string("general.alignment", "32")]),
    "a tensor beyond the end": gguf(tensors=[tensor("w", (32, 4), offset=2**40)]),
    "a tensor at 2^64": gguf(tensors=[tensor("w", (32, 4), offset=2**64 - 32)]),
    "a tensor that starts between": gguf(tensors=[tensor("w", (32,), offset=7)]),
    "a tensor of 2^252 numbers": gguf(tensors=[tensor("w", (2**63,) * 4)]),
    "a tensor without dimensions": gguf(tensors=[tensor("w", ())]),
    "a tensor with too many dimensions": gguf(tensors=[tensor("w", (1,) * 40)]),
    "a tensor of an unknown type": gguf(tensors=[tensor("w", (32,), kind=4096)]),
    "half a block": gguf(tensors=[tensor("w", (33,), kind=8)]),
    "an adapter": gguf([*MODEL, string("general.type", "adapter")]),
    "the second part of two": gguf([*MODEL, number("split.no", 1)]),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_files_are_refused_with_a_sentence(tmp_path: Path, case: str) -> None:
    file = written(tmp_path, HOSTILE[case])
    with pytest.raises(WeightsError) as refusal:
        inspect(file)
    said = str(refusal.value)
    assert str(file) in said
    assert said.endswith(".")
    assert len(said) < len(str(file)) + 250


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    whole = gguf()
    for length in range(0, len(whole), 3):
        with pytest.raises(WeightsError):
            inspect(written(tmp_path, whole[:length]))


@pytest.mark.parametrize("name", ["missing.gguf", "."])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsError, match="cannot be read"):
        inspect(tmp_path / name)


def test_long_arrays_are_passed_over_not_kept(tmp_path: Path) -> None:
    inner = struct.pack("<IQ", UINT32, 4) + bytes(16)
    entries = [*MODEL, array("deep", ARRAY, 50_000, inner * 50_000), strings("long", ["word"] * 50_000)]
    file = written(tmp_path, gguf(entries))
    assert peak_bytes(file) < 1_000_000
    assert inspect(file).name == "small"


SOUND = gguf([*MODEL, array("numbers", UINT32, 3, bytes(12)), ("nested", ARRAY, nested(1))])
HEADER_BYTES = len(SOUND) - 512


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    places=st.lists(
        st.tuples(
            st.integers(4, HEADER_BYTES - 1), st.sampled_from([b"\xff", b"\x00", b"\xff" * 8, bytes(8), b"\x09"])
        ),
        min_size=1,
        max_size=4,
    ),
    cut=st.integers(0, len(SOUND)) | st.just(len(SOUND)),
)
def test_any_damage_is_refused_or_harmless(tmp_path: Path, places: list[tuple[int, bytes]], cut: int) -> None:
    data = bytearray(SOUND)
    for at, replacement in places:
        data[at : at + len(replacement)] = replacement
    assert peak_bytes(written(tmp_path, bytes(data[:cut]))) < 2_000_000


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rest=st.binary(max_size=400))
def test_noise_behind_a_sound_beginning(tmp_path: Path, rest: bytes) -> None:
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 2) + text("general.architecture")
    assert peak_bytes(written(tmp_path, head + rest)) < 2_000_000


def peak_bytes(file: Path) -> int:
    """Python memory that reading took, whether the file was refused or not; anything but WeightsError is a failure."""
    tracemalloc.start()
    try:
        inspect(file)
    except WeightsError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return peak


def written(folder: Path, data: bytes) -> Path:
    file = folder / "model.gguf"
    file.write_bytes(data)
    return file
