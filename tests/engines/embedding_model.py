"""A model that embeds, for tests: the house model's layers, whose last states are averaged."""

from __future__ import annotations

from pathlib import Path

import pytest

from outcrop.models.specs import house_path

CONTEXT = 2048
DIMENSIONS = 256


def made(folder: Path) -> Path:
    """A GGUF file in `folder`. Skips where the package that writes them is not installed."""
    gguf = pytest.importorskip("gguf")
    given = gguf.GGUFReader(house_path())
    architecture = given.fields["general.architecture"].contents()
    path = folder / "embedding.gguf"
    writer = gguf.GGUFWriter(path, architecture)
    for name, entry in given.fields.items():
        if not name.startswith("GGUF.") and name not in ("general.architecture", "tokenizer.chat_template"):
            kind, *inner = entry.types
            writer.add_key_value(name, entry.contents(), kind, sub_type=inner[-1] if inner else None)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    for tensor in given.tensors:
        writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
