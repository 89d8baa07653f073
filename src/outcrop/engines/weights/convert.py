"""A Hugging Face folder as a GGUF file for llama.cpp: the architectures of `architectures.py`, with BPE tokenizers.

Needs the extra `train`. Tensors are read, quantised and written one at a time, so that memory holds one, not the model.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from outcrop.engines.weights import huggingface
from outcrop.engines.weights.architectures import OUTER
from outcrop.engines.weights.errors import WeightsError
from outcrop.engines.weights.huggingface import HfFolder
from outcrop.engines.weights.safetensors import Tensor
from outcrop.engines.weights.shape import Shape, rotary_factors, scaling_kind, shape_of, size_of
from outcrop.engines.weights.vocabulary import Vocabulary, vocabulary_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float32]

Quantization = Literal["f16", "q8_0"]


def to_gguf(folder: Path, target: Path, quantization: Quantization = "q8_0") -> None:
    """Written beside the target and renamed, so that there is a whole file or none. WeightsError if it cannot be done."""
    try:
        import gguf
        import numpy  # noqa: F401 - gguf needs it, and says so less plainly
    except ImportError:
        raise WeightsError(
            f"{folder} must be converted, which needs: pip install 'outcrop[train]'. Or give a GGUF file."
        ) from None
    source = huggingface.check(folder)
    shape, words = shape_of(source), vocabulary_of(source)
    names = list(_named(source, shape, len(words.tokens)))
    # Two servers may convert the same folder at once.
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    writer = gguf.GGUFWriter(partial, source.architecture.name)
    try:
        _describe(writer, source, shape, words, gguf.LlamaFileType, quantization)
        for name, tensor in names:
            _announce(writer, name, tensor, _kind(name, tensor, quantization))
        factors = rotary_factors(shape)
        for name, values in factors.items():
            writer.add_tensor_info(name, values.shape, values.dtype, values.nbytes)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for name, tensor in names:
            writer.write_tensor_data(
                _encoded(_prepared(name, tensor, source, shape), _kind(name, tensor, quantization))
            )
        for values in factors.values():
            writer.write_tensor_data(values)
        writer.close()
        partial.replace(target)
    except BaseException:
        writer.close()
        partial.unlink(missing_ok=True)
        raise


def _describe(
    writer: Any, source: HfFolder, shape: Shape, words: Vocabulary, file_types: Any, quantization: Quantization
) -> None:
    writer.add_name(source.path.resolve().name)
    writer.add_file_type(file_types.MOSTLY_Q8_0 if quantization == "q8_0" else file_types.MOSTLY_F16)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_width)
    writer.add_value_length(shape.head_width)
    writer.add_rope_dimension_count(shape.rotary_width)
    writer.add_rope_freq_base(shape.theta)
    writer.add_layer_norm_rms_eps(shape.epsilon)
    writer.add_vocab_size(len(words.tokens))
    if scaling_kind(shape) == "linear":
        import gguf

        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(float(shape.scaling["factor"]))
    if scaling_kind(shape) == "longrope":
        writer.add_rope_scaling_orig_ctx_len(shape.original_context)
        writer.add_rope_scaling_attn_factors(shape.attention_factor)
    if shape.window is not None:
        writer.add_sliding_window(shape.window)
    if shape.softcaps is not None:
        writer.add_attn_logit_softcapping(shape.softcaps[0])
        writer.add_final_logit_softcapping(shape.softcaps[1])
    writer.add_tokenizer_model(words.model)
    writer.add_tokenizer_pre(words.pre)
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.types)
    if words.model == "gpt2":
        writer.add_token_merges(words.merges)
    else:
        writer.add_token_scores(words.scores)
        writer.add_add_space_prefix(words.space_in_front)
    writer.add_add_bos_token(words.add_bos)
    if words.bos is not None:
        writer.add_bos_token_id(words.bos)
    if words.eos is not None:
        writer.add_eos_token_id(words.eos)
    if source.chat_template is not None:
        writer.add_chat_template(source.chat_template)


def _named(source: HfFolder, shape: Shape, vocab_size: int) -> Iterator[tuple[str, Tensor]]:
    """GGUF's name of each tensor. An unknown or missing one is refused: half a model would load and talk nonsense."""
    form, wanted = source.architecture, dict(OUTER)
    if shape.tied:
        del wanted["lm_head.weight"]
    for layer in range(shape.layers):
        wanted.update(
            (f"model.layers.{layer}.{ours}", f"blk.{layer}.{theirs}")
            for ours, theirs in {**form.layer, **form.optional}.items()
        )
    ignored = {"lm_head.weight"} | {name for name in source.tensors if name.endswith("rotary_emb.inv_freq")}
    if unknown := sorted(set(source.tensors) - set(wanted) - ignored):
        raise WeightsError(f"{source.path} has weights that are not known here, such as {unknown[0][:120]}.")
    for name, theirs in wanted.items():
        if name in source.tensors:
            tensor, size = source.tensors[name], size_of(theirs, shape, vocab_size)
            if tensor.shape != size:
                raise WeightsError(f"{source.path}: {name} is {tensor.shape}, and should be {size} by config.json.")
            yield theirs, tensor
        elif not name.endswith(tuple(form.optional)):
            raise WeightsError(f"{source.path} lacks the weight {name}.")


def _kind(name: str, tensor: Tensor, quantization: Quantization) -> str:
    """Norms and biases stay whole; a row that does not consist of blocks stays in half precision."""
    if len(tensor.shape) == 1:
        return "f32"
    return quantization if tensor.shape[-1] % 32 == 0 else "f16"


def _announce(writer: Any, name: str, tensor: Tensor, kind: str) -> None:
    import gguf
    import numpy as np

    count = math.prod(tensor.shape)
    if kind == "q8_0":
        rows = (*tensor.shape[:-1], tensor.shape[-1] // 32 * 34)
        writer.add_tensor_info(
            name, rows, np.dtype(np.uint8), math.prod(rows), raw_dtype=gguf.GGMLQuantizationType.Q8_0
        )
    else:
        dtype = np.dtype(np.float16 if kind == "f16" else np.float32)
        writer.add_tensor_info(name, tensor.shape, dtype, count * dtype.itemsize)


def _encoded(values: Array, kind: str) -> Any:
    import gguf
    import numpy as np

    if kind == "q8_0":
        return gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0)
    return values.astype(np.float16 if kind == "f16" else np.float32)


def _prepared(name: str, tensor: Tensor, source: HfFolder, shape: Shape) -> Array:
    values = _read(tensor)
    form = source.architecture
    if form.interleaved and name.endswith(("attn_q.weight", "attn_q.bias")):
        return interleaved(values, shape.heads)
    if form.interleaved and name.endswith(("attn_k.weight", "attn_k.bias")):
        return interleaved(values, shape.kv_heads)
    return values + 1 if form.norms_of_one and name.endswith("norm.weight") else values


def interleaved(values: Array, heads: int) -> Array:
    """Rows for rotary positions on neighbouring pairs, which GGUF's `llama` has, instead of on the two halves of a head."""
    halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
    return halves.swapaxes(1, 2).reshape(values.shape)


def _read(tensor: Tensor) -> Array:
    import numpy as np

    with tensor.file.open("rb") as file:
        file.seek(tensor.start)
        data = file.read(tensor.end - tensor.start)
    if tensor.dtype == "BF16":
        # bfloat16 is the upper half of float32.
        whole = np.frombuffer(data, np.uint16).astype(np.uint32) << 16
        return whole.view(np.float32).reshape(tensor.shape)
    kinds = {"F32": np.float32, "F16": np.float16, "F64": np.float64}
    if tensor.dtype not in kinds:
        raise WeightsError(f"{tensor.file} has weights of type {tensor.dtype}; serve it with the engine vllm.")
    return np.frombuffer(data, kinds[tensor.dtype]).reshape(tensor.shape).astype(np.float32)
