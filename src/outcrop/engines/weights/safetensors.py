"""The header of a safetensors file, read without trust.

Source: the format's own description (huggingface/safetensors): eight bytes of length, JSON, then the tensors' bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from outcrop.engines.weights.errors import WeightsError

LONGEST_HEADER = 100 * 1024 * 1024
MOST_DIMENSIONS = 8
WIDTHS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


@dataclass(frozen=True, slots=True)
class Tensor:
    """`start` and `end` are bytes from the beginning of the file."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def tensors(path: Path) -> dict[str, Tensor]:
    """Where each tensor lies. WeightsError if one lies outside of the file, overlaps another or has another size."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            length = int.from_bytes(file.read(8), "little")
            if size < 8 or length > LONGEST_HEADER or 8 + length > size:
                raise _damaged(path, "its header is longer than the file, or absurd")
            header = _parsed(path, file.read(length))
    except OSError as problem:
        raise WeightsError(f"{path} cannot be read: {problem.strerror}.") from None
    found = {name: _tensor(path, name, entry, 8 + length) for name, entry in header.items() if name != "__metadata__"}
    end = 8 + length
    for name, tensor in sorted(found.items(), key=lambda item: (item[1].start, item[1].end)):
        if tensor.start < end or tensor.end > size:
            raise _damaged(path, f"the tensor {name[:80]!r} does not lie where it may")
        end = tensor.end
    return found


def _parsed(path: Path, text: bytes) -> dict[str, Any]:
    try:
        header = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise _damaged(path, "its header is not JSON") from None
    if not isinstance(header, dict):
        raise _damaged(path, "its header is not an object")
    return header


def _tensor(path: Path, name: str, entry: Any, base: int) -> Tensor:
    try:
        dtype, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        width, whole = WIDTHS[dtype], [start, end, *shape]
    except (TypeError, KeyError, ValueError):
        raise _damaged(path, f"the tensor {name[:80]!r} is not described, or of an unknown type") from None
    # Few dimensions: the product of a million large ones would take hours.
    sane = all(isinstance(number, int) and 0 <= number < 2**48 for number in whole)
    if len(shape) > MOST_DIMENSIONS or not sane:
        raise _damaged(path, f"the tensor {name[:80]!r} is described badly")
    count = 1
    for number in shape:
        count *= number
    if end - start != count * width:
        raise _damaged(path, f"the tensor {name[:80]!r} has another size than its shape")
    return Tensor(path, dtype, tuple(shape), base + start, base + end)


def _damaged(path: Path, how: str) -> WeightsError:
    return WeightsError(f"{path} is not a sound safetensors file: {how}.")
