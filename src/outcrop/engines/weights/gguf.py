"""The header of a GGUF file, read without trust: no number in it makes this module read or allocate more than the file holds.

Source: the GGUF specification in ggml's documentation (versions 2 and 3, little-endian).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outcrop.engines.weights.errors import WeightsError

MAGIC = b"GGUF"
MOST_ENTRIES = 100_000
MOST_TENSORS = 1_000_000
# Longer arrays (the vocabulary, the merges) are passed over; their length is kept.
LONGEST_KEPT_ARRAY = 64
LONGEST_TEXT = 16 * 1024 * 1024
DEEPEST_ARRAY = 2
MOST_DIMENSIONS = 4
# The pooling type of a model that scores a text against a query.
RANKING = 4

# type number -> format of a scalar
_SCALARS: Mapping[int, str] = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
_TEXT, _ARRAY = 8, 9

# ggml type -> (elements in a block, bytes of a block)
BLOCKS: Mapping[int, tuple[int, int]] = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ArrayLength:
    """Stands for an array too long to keep."""

    length: int


@dataclass(frozen=True, slots=True)
class GgufFile:
    """What serving needs to know. `context_length` in tokens, `tensor_bytes` of all weights.

    `parameters`: how many numbers they are; None if this file is one of several.
    """

    path: Path
    architecture: str
    name: str | None
    context_length: int | None
    embedding_length: int | None
    vocab_size: int | None
    tokenizer_model: str | None
    chat_template: str | None
    is_embedding: bool
    is_reranker: bool
    tensor_bytes: int
    parameters: int | None


def inspect(path: Path) -> GgufFile:
    """Read and check the header. WeightsError if the file is no sound GGUF model."""
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _Reader(path, data).file()
    except OSError as problem:
        raise WeightsError(f"{path} cannot be read: {problem.strerror}.") from None
    except ValueError:
        raise WeightsError(f"{path} is empty.") from None


def shapes(path: Path) -> tuple[str, dict[str, tuple[int, ...]]]:
    """The architecture, and the shape of each tensor, the shortest step first. WeightsError if the file is not sound."""
    known, tensors = _header(path)
    return str(known.get("general.architecture")), tensors


def inspect_adapter(path: Path) -> tuple[str, dict[str, tuple[int, ...]]]:
    """The same of a LoRA adapter. WeightsError if it is none."""
    known, tensors = _header(path)
    if (known.get("general.type"), known.get("adapter.type")) != ("adapter", "lora"):
        raise WeightsError(f"{path} is not a LoRA adapter.")
    return str(known.get("general.architecture")), tensors


def _header(path: Path) -> tuple[dict[str, Any], dict[str, tuple[int, ...]]]:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            reader = _Reader(path, data)
            return reader.header(), reader.shapes
    except OSError as problem:
        raise WeightsError(f"{path} cannot be read: {problem.strerror}.") from None
    except ValueError:
        raise WeightsError(f"{path} is empty.") from None


class _Reader:
    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path = path
        self._data = data
        self._size = len(data)
        self._at = 0
        self._totals = (0, 0)
        self.shapes: dict[str, tuple[int, ...]] = {}

    def file(self) -> GgufFile:
        return self._described(self.header(), *self._totals)

    def header(self) -> dict[str, Any]:
        """What the file says of itself; each tensor lies within it, and is in `shapes`."""
        if self._data[:4] != MAGIC:
            raise WeightsError(f"{self._path} is not a GGUF file.")
        self._at = 4
        version = self._unsigned(4)
        if version not in (2, 3):
            raise self._damaged(f"version {version} is not known")
        tensors, entries = self._unsigned(8), self._unsigned(8)
        if entries > MOST_ENTRIES or tensors > MOST_TENSORS:
            raise self._damaged(f"it claims {entries} entries and {tensors} tensors")
        known = self._entries(entries)
        self._totals = self._tensors(tensors, known)
        return known

    def _entries(self, count: int) -> dict[str, Any]:
        known: dict[str, Any] = {}
        for _ in range(count):
            key = self._text(65_535)
            if key in known:
                raise self._damaged(f"{key[:80]!r} stands there twice")
            known[key] = self._value(self._unsigned(4), 0)
        return known

    def _value(self, kind: int, depth: int) -> Any:
        if kind in _SCALARS:
            return self._scalar(_SCALARS[kind])
        if kind == _TEXT:
            return self._text(LONGEST_TEXT)
        if kind == _ARRAY and depth < DEEPEST_ARRAY:
            return self._array(depth)
        raise self._damaged(f"value type {kind} is not known here")

    def _array(self, depth: int) -> Any:
        kind, length = self._unsigned(4), self._unsigned(8)
        if kind in _SCALARS:
            width = struct.calcsize("<" + _SCALARS[kind])
            if length > LONGEST_KEPT_ARRAY:
                self._skip(length * width)
                return ArrayLength(length)
            return [self._scalar(_SCALARS[kind]) for _ in range(length)]
        # Every further element takes at least eight bytes, so the file bounds the loop.
        if length * 8 > self._size - self._at:
            raise self._damaged("an array is longer than the file")
        if kind == _TEXT and length > LONGEST_KEPT_ARRAY:
            for _ in range(length):
                self._skip(self._unsigned(8))
            return ArrayLength(length)
        if length > LONGEST_KEPT_ARRAY:
            for _ in range(length):
                self._value(kind, depth + 1)
            return ArrayLength(length)
        return [self._value(kind, depth + 1) for _ in range(length)]

    def _tensors(self, count: int, known: Mapping[str, Any]) -> tuple[int, int]:
        """Their bytes and their elements. Each must lie within the file."""
        if count == 0:
            raise self._damaged("it has no tensors")
        placed = [self._tensor() for _ in range(count)]
        alignment = known.get("general.alignment", 32)
        if not isinstance(alignment, int) or alignment <= 0 or alignment & (alignment - 1):
            raise self._damaged(f"its alignment is {alignment!r}")
        start = -(-self._at // alignment) * alignment
        for name, offset, size, _ in placed:
            if offset % alignment or start + offset + size > self._size:
                raise self._damaged(f"the tensor {name[:80]!r} does not lie within the file; it may be cut off")
        return sum(size for _, _, size, _ in placed), sum(elements for _, _, _, elements in placed)

    def _tensor(self) -> tuple[str, int, int, int]:
        name = self._text(1024)
        dimensions = self._unsigned(4)
        if not 1 <= dimensions <= MOST_DIMENSIONS:
            raise self._damaged(f"the tensor {name[:80]!r} has {dimensions} dimensions")
        shape = [self._unsigned(8) for _ in range(dimensions)]
        kind, offset = self._unsigned(4), self._unsigned(8)
        if kind not in BLOCKS:
            raise self._damaged(f"the tensor {name[:80]!r} has the unknown type {kind}")
        self.shapes[name] = tuple(shape)
        elements = 1
        for length in shape:
            elements *= length
        in_block, block_bytes = BLOCKS[kind]
        if shape[0] % in_block:
            raise self._damaged(f"the tensor {name[:80]!r} does not consist of whole blocks")
        return name, offset, elements // in_block * block_bytes, elements

    def _described(self, known: Mapping[str, Any], total: int, elements: int) -> GgufFile:
        architecture = known.get("general.architecture")
        if not isinstance(architecture, str) or not architecture:
            raise self._damaged("it does not say its architecture")
        if known.get("general.type", "model") != "model":
            raise WeightsError(f"{self._path} is a GGUF file of type {str(known['general.type'])[:80]!r}, not a model.")
        if known.get("split.no", 0) != 0:
            raise WeightsError(f"{self._path} is a later part of a model in several files; name the first part.")
        tokens = known.get("tokenizer.ggml.tokens")
        pooling = _integer(known.get(f"{architecture}.pooling_type")) or 0
        return GgufFile(
            self._path,
            architecture,
            _string(known.get("general.name")),
            _integer(known.get(f"{architecture}.context_length")),
            _integer(known.get(f"{architecture}.embedding_length")),
            len(tokens) if isinstance(tokens, list) else tokens.length if isinstance(tokens, ArrayLength) else None,
            _string(known.get("tokenizer.ggml.model")),
            _string(known.get("tokenizer.chat_template")),
            pooling != RANKING and (pooling > 0 or "bert" in architecture),
            pooling == RANKING,
            total,
            elements if (_integer(known.get("split.count")) or 1) == 1 else None,
        )

    def _scalar(self, form: str) -> Any:
        return struct.unpack("<" + form, self._take(struct.calcsize("<" + form)))[0]

    def _unsigned(self, width: int) -> int:
        return int.from_bytes(self._take(width), "little")

    def _text(self, longest: int) -> str:
        length = self._unsigned(8)
        if length > longest:
            raise self._damaged("a text is too long")
        try:
            return self._take(length).decode("utf-8")
        except UnicodeDecodeError:
            raise self._damaged("a text is not UTF-8") from None

    def _take(self, length: int) -> bytes:
        end = self._at + length
        if end > self._size:
            raise self._damaged("it ends too early; fetch it again")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def _skip(self, length: int) -> None:
        if length > self._size - self._at:
            raise self._damaged("it ends too early; fetch it again")
        self._at += length

    def _damaged(self, how: str) -> WeightsError:
        return WeightsError(f"{self._path} is not a sound GGUF file: {how}.")


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _string(value: object) -> str | None:
    return value if isinstance(value, str) else None
