"""A BERT with random weights, for tests of embeddings and scores: the same text has the same vector, another a different one.

Its words are letters, so that a text has about as many tokens as it has letters.
"""

from __future__ import annotations

import string
from pathlib import Path

import pytest

CONTEXT = 1024
DIMENSIONS = 64
_HEADS, _INNER = 4, 128
_SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
# A word's first letter has a mark, as llama.cpp wants it.
_TOKENS = [*_SPECIAL, *(f"▁{letter}" for letter in string.ascii_lowercase), *string.ascii_lowercase]


def made(folder: Path, *, scores: bool = False) -> Path:
    """A GGUF file in `folder`. Skips where the package that writes them is not installed."""
    gguf, numpy = pytest.importorskip("gguf"), pytest.importorskip("numpy")
    path = folder / ("scoring.gguf" if scores else "embedding.gguf")
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(DIMENSIONS)
    writer.add_feed_forward_length(_INNER)
    writer.add_block_count(1)
    writer.add_head_count(_HEADS)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.RANK if scores else gguf.PoolingType.MEAN)
    writer.add_tokenizer_model("bert")
    writer.add_token_list(_TOKENS)
    writer.add_token_types([3] * len(_SPECIAL) + [1] * (len(_TOKENS) - len(_SPECIAL)))
    writer.add_token_type_count(2)
    for name, number in (("pad", 0), ("unk", 1), ("bos", 2), ("eos", 3), ("sep", 3), ("mask", 4)):
        getattr(writer, f"add_{name}_token_id")(number)
    if scores:
        writer.add_classifier_output_labels(["score"])
    random = numpy.random.default_rng(0)
    for name, shape in _tensors(scores=scores).items():
        if "norm" in name:
            tensor = numpy.full(shape, 1 if name.endswith("weight") else 0, dtype=numpy.float32)
        else:
            tensor = random.normal(0, 0.4, shape).astype(numpy.float32)
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _tensors(*, scores: bool) -> dict[str, tuple[int, ...]]:
    """Names and shapes, rows first."""
    wide = {
        "token_embd": len(_TOKENS), "token_types": 2, "position_embd": CONTEXT, "blk.0.attn_q": DIMENSIONS,
        "blk.0.attn_k": DIMENSIONS, "blk.0.attn_v": DIMENSIONS, "blk.0.attn_output": DIMENSIONS,
        "blk.0.ffn_up": _INNER, **({"cls": DIMENSIONS, "cls.output": 1} if scores else {}),
    }  # fmt: skip
    shapes: dict[str, tuple[int, ...]] = {f"{name}.weight": (rows, DIMENSIONS) for name, rows in wide.items()}
    biased = [name for name in wide if name.startswith(("blk", "cls"))]
    shapes |= {f"{name}.bias": (wide[name],) for name in biased}
    shapes |= {"blk.0.ffn_down.weight": (DIMENSIONS, _INNER), "blk.0.ffn_down.bias": (DIMENSIONS,)}
    for name in ("token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm"):
        shapes |= {f"{name}.weight": (DIMENSIONS,), f"{name}.bias": (DIMENSIONS,)}
    return shapes
