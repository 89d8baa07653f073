"""LoRA adapters of the house model, made by hand: of zeros, which change nothing, and of noise, which change everything."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gguf import GGUFReader, GGUFWriter

from outcrop.models.specs import house_path

RANK = 4


def zeros(path: Path) -> Path:
    return write(path, None)


def noise(path: Path, seed: int) -> Path:
    return write(path, np.random.default_rng(seed))


def write(path: Path, random: np.random.Generator | None, *, rank: int = RANK, architecture: str = "llama") -> Path:
    writer = GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 2.0 * rank)
    for tensor in GGUFReader(house_path()).tensors:
        if tensor.name.endswith(("attn_q.weight", "ffn_up.weight")):
            inputs, outputs = (int(length) for length in tensor.shape)
            for name, shape in (("a", (RANK, inputs)), ("b", (outputs, rank))):
                numbers = np.zeros(shape) if random is None else random.standard_normal(shape) * 0.3
                writer.add_tensor(f"{tensor.name}.lora_{name}", numbers.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
