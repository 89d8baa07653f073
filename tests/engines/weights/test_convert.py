"""Hugging Face folders as GGUF: llama.cpp must compute what the architecture's definition says, and cut texts alike."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

np = pytest.importorskip("numpy")
pytest.importorskip("gguf")

from outcrop.engines.weights import WeightsError, convert, gguf, servable  # noqa: E402
from tests.engines.weights import builders, llama  # noqa: E402
from tests.engines.weights.definition import EMBED, log_softmax, logits  # noqa: E402

Weights = dict[str, Any]
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
# architecture and what its config.json has beside
CASES: dict[str, dict[str, Any]] = {
    "llama": {},
    "llama with its own head": {"tie_word_embeddings": False},
    "llama3 scaling": {"rope_scaling": LLAMA3},
    "linear scaling": {"rope_scaling": {"rope_type": "linear", "factor": 4.0}},
    "rope_parameters": {"rope_theta": None, "rope_parameters": {"rope_type": "default", "rope_theta": 500.0}},
    "mistral": {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": None},
    "qwen2": {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "rms_norm_eps": 1e-6},
    "qwen3 with wide heads": {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 32},
}
GEMMA = {"rms_norm_eps": 1e-6, "head_dim": 32, "hidden_activation": "gelu_pytorch_tanh", "hidden_act": None}
CASES |= {
    "phi3": {"architectures": ["Phi3ForCausalLM"], "model_type": "phi3", "tie_word_embeddings": False},
    "phi3 with longrope": {
        "architectures": ["Phi3ForCausalLM"],
        "model_type": "phi3",
        "original_max_position_embeddings": 64,
        "rope_scaling": {
            "rope_type": "longrope",
            "short_factor": [1.0 + i / 10 for i in range(8)],
            "long_factor": [2.0 + i / 10 for i in range(8)],
        },
    },
    "gemma": {"architectures": ["GemmaForCausalLM"], "model_type": "gemma", **GEMMA},
    "gemma2": {
        "architectures": ["Gemma2ForCausalLM"],
        "model_type": "gemma2",
        "sliding_window": 8,
        "attn_logit_softcapping": 50.0,
        "final_logit_softcapping": 30.0,
        **GEMMA,
    },
    "gemma3": {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "num_hidden_layers": 7,
        "sliding_window": 8,
        "rope_theta": 1e6,
        **GEMMA,
    },
}
PROMPT = [7, 99, 150, 42, 42, 250, 11, 180, 64, 65, 30, 201]


@pytest.mark.parametrize("case", CASES)
def test_llama_cpp_computes_what_the_definition_says(tmp_path: Path, case: str) -> None:
    config = builders.CONFIG | CASES[case]
    weights = random_weights(config)
    save(tmp_path / "model", config, weights, "F16")
    target = tmp_path / "model.gguf"
    convert.to_gguf(tmp_path / "model", target, "f16")

    (answer,) = llama.ask(target, tmp_path, llama.greedy(PROMPT, 12))
    expected = log_softmax(logits(config, weights, PROMPT + answer["tokens"][:-1])[len(PROMPT) - 1 :])
    llama.assert_computes(answer, expected, within=0.03)


@pytest.mark.parametrize("dtype", ["BF16", "F16", "F32"])
@pytest.mark.parametrize("quantization", ["f16", "q8_0"])
def test_types_of_weights(tmp_path: Path, dtype: str, quantization: Literal["f16", "q8_0"]) -> None:
    config = builders.CONFIG
    weights = random_weights(config)
    save(tmp_path / "model", config, weights, dtype)
    convert.to_gguf(tmp_path / "model", tmp_path / "model.gguf", quantization)
    read = read_gguf(tmp_path / "model.gguf")
    # Steps of 1/127 of a block's largest weight, of 2^-8 for bfloat16.
    for theirs, ours in (("blk.1.ffn_up.weight", "model.layers.1.mlp.up_proj.weight"), ("token_embd.weight", EMBED)):
        assert np.abs(read[theirs] - weights[ours]).max() < 0.01 * np.abs(weights[ours]).max()
    assert "output.weight" not in read
    norm = weights["model.norm.weight"]
    assert np.abs(read["output_norm.weight"] - norm).max() <= (0.01 if dtype == "BF16" else 0.001)


def test_what_the_file_says_of_itself(tmp_path: Path) -> None:
    folder = builders.folder(tmp_path / "small-model")
    convert.to_gguf(folder, tmp_path / "out.gguf")
    found = gguf.inspect(tmp_path / "out.gguf")
    assert (found.architecture, found.name, found.context_length) == ("llama", "small-model", 256)
    assert (found.vocab_size, found.tokenizer_model, found.chat_template) == (260, "gpt2", "{{ messages }}")
    fields = fields_of(tmp_path / "out.gguf")
    assert fields["tokenizer.ggml.pre"] == "smollm"
    assert fields["tokenizer.ggml.add_bos_token"] is False
    assert fields["tokenizer.ggml.eos_token_id"] == builders.ADDED.index("<|im_end|>")
    control, normal, user_defined = 3, 1, 4
    assert fields["tokenizer.ggml.token_type"][:4] == [control, control, user_defined, normal]


def test_a_sliding_window_bounds_the_context(tmp_path: Path) -> None:
    mistral = {"architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": 128}
    convert.to_gguf(builders.folder(tmp_path / "mistral", **mistral), tmp_path / "mistral.gguf")
    assert gguf.inspect(tmp_path / "mistral.gguf").context_length == 128
    unused = {"sliding_window": 128, "use_sliding_window": False}
    convert.to_gguf(builders.folder(tmp_path / "unused", **unused), tmp_path / "unused.gguf")
    assert gguf.inspect(tmp_path / "unused.gguf").context_length == 256


SPLIT = {"type": "Split", "behavior": "Isolated", "invert": False}
INNER = builders.BYTE_LEVEL | {"use_regex": False}
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
PRE_TOKENIZERS: dict[str, Any] = {
    "smollm": builders.SMOLLM,
    "gpt-2": builders.BYTE_LEVEL,
    "qwen2": {"type": "Sequence", "pretokenizers": [SPLIT | {"pattern": {"Regex": QWEN2}}, INNER]},
    "llama-bpe": {
        "type": "Sequence",
        "pretokenizers": [SPLIT | {"pattern": {"Regex": QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")}}, INNER],
    },
}
TEXTS = [
    "Hello, world! It's 12345 o'clock; DON'T.",
    "  two spaces\n\n\tand a tab   \n end ",
    "Äpfel, 北京 und 😀 – naïve café",
    '<|im_end|>x<tool_call>{"a": 1}',
]


@pytest.mark.parametrize("pre", PRE_TOKENIZERS)
def test_llama_cpp_cuts_texts_as_the_tokenizer_does(tmp_path: Path, pre: str) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    document = builders.tokenizer_json() | {"pre_tokenizer": PRE_TOKENIZERS[pre]}
    # Merges across what the pre-tokenizers cut differently: pairs of digits, and runs of spaces.
    vocab, merges = document["model"]["vocab"], document["model"]["merges"]
    for pair in [("1", "2"), ("3", "4"), ("12", "3"), ("Ġ", "Ġ"), ("l", "l"), ("Ġ", "w"), ("'", "t"), ("'", "T")]:
        vocab["".join(pair)] = len(vocab)
        merges.append(list(pair))
    folder = builders.folder(tmp_path / "model", vocab_size=len(vocab))
    (folder / "tokenizer.json").write_text(json.dumps(document))
    convert.to_gguf(folder, tmp_path / "model.gguf")
    answers = llama.ask(tmp_path / "model.gguf", tmp_path, *(llama.tokenize(text) for text in TEXTS))
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(document))
    assert [answer["tokens"] for answer in answers] == [tokenizer.encode(text).ids for text in TEXTS]


SPACE = "\u2581"
REPLACED = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
AT_SPACES = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
SENTENCEPIECE: dict[str, dict[str, Any]] = {
    "llama 2": {
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": SPACE}, REPLACED]},
        "pre_tokenizer": None,
    },
    "gemma": {"normalizer": REPLACED, "pre_tokenizer": AT_SPACES},
    "phi 3": {
        "normalizer": None,
        "pre_tokenizer": {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": False},
    },
}


def sentencepiece(kind: Mapping[str, Any]) -> dict[str, Any]:
    """A tokenizer.json as transformers makes it of a SentencePiece model: merges of all ways to make each piece."""
    pieces = [
        *"abcdefghilnoprstuwy,.",
        SPACE,
        "th",
        "the",
        SPACE + "t",
        SPACE + "th",
        SPACE + "the",
        "in",
        "an",
        "and",
        SPACE * 2,
    ]
    vocab = {
        piece: i
        for i, piece in enumerate(["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *pieces])
    }
    merges = [
        [piece[:cut], piece[cut:]]
        for piece in pieces
        for cut in range(1, len(piece))
        if piece[:cut] in vocab and piece[cut:] in vocab
    ]
    added = [
        {"id": i, "content": content, "special": True, "normalized": False}
        | {"single_word": False, "lstrip": False, "rstrip": False}
        for i, content in enumerate(["<unk>", "<s>", "</s>"])
    ]
    model = {
        "type": "BPE",
        "vocab": vocab,
        "merges": merges,
        "byte_fallback": True,
        "fuse_unk": True,
        "unk_token": "<unk>",
    }
    return {"version": "1.0", "added_tokens": added, "decoder": None, "model": model, **kind}


def with_tokenizer(path: Path, document: Mapping[str, Any]) -> Path:
    folder = builders.folder(path, vocab_size=len(document["model"]["vocab"]))
    (folder / "tokenizer.json").write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize("kind", SENTENCEPIECE)
def test_llama_cpp_cuts_texts_as_sentencepiece_does(tmp_path: Path, kind: str) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    document = sentencepiece(SENTENCEPIECE[kind])
    convert.to_gguf(with_tokenizer(tmp_path / "model", document), tmp_path / "model.gguf")
    texts = ["the other and the  thin one", "\u5317\u4eac, tea\n\tX", "<s>the</s>the"]
    answers = llama.ask(tmp_path / "model.gguf", tmp_path, *(llama.tokenize(text) for text in texts))
    tokenizer = tokenizers.Tokenizer.from_str(json.dumps(document))
    assert [answer["tokens"] for answer in answers] == [tokenizer.encode(text).ids for text in texts]


@pytest.mark.parametrize("case", ["order", "a way left out", "spaces"])
def test_merges_that_scores_cannot_say_are_refused(tmp_path: Path, case: str) -> None:
    document = sentencepiece(SENTENCEPIECE["llama 2"])
    merges = document["model"]["merges"]
    if case == "order":
        merges.reverse()
    elif case == "a way left out":
        merges.remove([SPACE, "the"])
    else:
        document["normalizer"] = {"type": "NFKC"}
    with pytest.raises(WeightsError, match="would cut texts differently"):
        convert.to_gguf(with_tokenizer(tmp_path / "model", document), tmp_path / "model.gguf")


UNKNOWN_PRE: dict[str, Any] = {
    "none": None,
    "another pattern": {"type": "Sequence", "pretokenizers": [SPLIT | {"pattern": {"Regex": r"\w+"}}, INNER]},
    "a space in front": builders.BYTE_LEVEL | {"add_prefix_space": True},
    "merged with what precedes": {
        "type": "Sequence",
        "pretokenizers": [SPLIT | {"behavior": "MergedWithPrevious", "pattern": {"Regex": QWEN2}}, INNER],
    },
    "metaspace": {"type": "Metaspace", "replacement": "▁"},
    "a list": [1],
}


@pytest.mark.parametrize("case", UNKNOWN_PRE)
def test_an_unknown_pre_tokenizer_is_refused(tmp_path: Path, case: str) -> None:
    folder = builders.folder(tmp_path / "model")
    (folder / "tokenizer.json").write_text(json.dumps(builders.tokenizer_json() | {"pre_tokenizer": UNKNOWN_PRE[case]}))
    with pytest.raises(WeightsError, match=r"pre-tokenizer .* is not known"):
        convert.to_gguf(folder, tmp_path / "model.gguf")
    assert_nothing_left(tmp_path)


BAD_TOKENIZERS: dict[str, dict[str, Any]] = {
    "no merges": {"model": builders.tokenizer_json()["model"] | {"merges": []}},
    "unigram": {"model": {"type": "Unigram", "vocab": []}},
    "no model": {"model": None},
    "a model that is a list": {"model": [1]},
    "no tokens": {"model": {"type": "BPE", "vocab": {}, "merges": []}},
    "ids that are texts": {"model": {"type": "BPE", "vocab": {"a": "1"}, "merges": []}},
    "negative ids": {"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}},
    "an id of 2^60": {"model": {"type": "BPE", "vocab": {"a": 2**60}, "merges": []}},
    "added tokens without text": {"added_tokens": [{"id": 1}]},
    "added tokens that are numbers": {"added_tokens": [1]},
    "lower case": {"normalizer": {"type": "Lowercase"}},
    "a normalizer that is a list": {"normalizer": [1]},
}


@pytest.mark.parametrize("case", BAD_TOKENIZERS)
def test_a_bad_tokenizer_is_refused(tmp_path: Path, case: str) -> None:
    folder = builders.folder(tmp_path / "model")
    (folder / "tokenizer.json").write_text(json.dumps(builders.tokenizer_json() | BAD_TOKENIZERS[case]))
    with pytest.raises(WeightsError):
        convert.to_gguf(folder, tmp_path / "model.gguf")
    assert_nothing_left(tmp_path)


BAD_CONFIGS: dict[str, dict[str, Any]] = {
    "no width": {"hidden_size": None},
    "no heads": {"num_attention_heads": 0},
    "negative layers": {"num_hidden_layers": -1},
    "2^60 layers": {"num_hidden_layers": 2**60},
    "more layers than weights": {"num_hidden_layers": 3},
    "fewer layers than weights": {"num_hidden_layers": 1},
    "another width": {"hidden_size": 128},
    "other heads": {"num_key_value_heads": 4},
    "a vocabulary of 2^60": {"vocab_size": 2**60},
    "a larger vocabulary than rows": {"vocab_size": 300},
    "a text for a number": {"intermediate_size": "many"},
    "infinitely wide": {"hidden_size": float("1e400")},
    "yarn": {"rope_scaling": {"rope_type": "yarn", "factor": 4.0}},
    "scaling without a factor": {"rope_scaling": {"rope_type": "llama3"}},
    "scaling by nothing": {"rope_scaling": {"rope_type": "linear", "factor": 0}},
    "scaling that is a text": {"rope_scaling": "linear"},
    "a head that is missing": {"tie_word_embeddings": False},
    "another activation": {"hidden_act": "gelu"},
    "longrope for Llama": {"rope_scaling": {"rope_type": "longrope", "short_factor": [1.0], "long_factor": [1.0]}},
}
GEMMA3 = builders.CONFIG | CASES["gemma3"]
BAD_GEMMAS: dict[str, dict[str, Any]] = {
    "no window": {"sliding_window": None},
    "another scale of queries": {"query_pre_attn_scalar": 64},
    "another pattern": {"sliding_window_pattern": 4},
    "other layers": {"layer_types": ["full_attention"] * 7},
    "another local frequency": {"rope_local_base_freq": 500.0},
    "softcaps": {"final_logit_softcapping": 30.0},
    "another activation": {"hidden_activation": "relu"},
}


@pytest.mark.parametrize("case", BAD_CONFIGS)
def test_a_bad_configuration_is_refused(tmp_path: Path, case: str) -> None:
    folder = builders.folder(tmp_path / "model")
    (folder / "config.json").write_text(json.dumps(builders.CONFIG | BAD_CONFIGS[case]))
    with pytest.raises(WeightsError) as refusal:
        convert.to_gguf(folder, tmp_path / "model.gguf")
    assert str(folder) in str(refusal.value)
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("case", BAD_GEMMAS)
def test_what_llama_cpp_would_compute_otherwise_is_refused(tmp_path: Path, case: str) -> None:
    weights = random_weights(GEMMA3)
    save(tmp_path / "model", GEMMA3 | BAD_GEMMAS[case], weights, "F16")
    with pytest.raises(WeightsError):
        convert.to_gguf(tmp_path / "model", tmp_path / "model.gguf")
    assert_nothing_left(tmp_path)


@pytest.mark.parametrize("case", ["long_factor", "original_max_position_embeddings"])
def test_longrope_that_is_not_whole_is_refused(tmp_path: Path, case: str) -> None:
    config = builders.CONFIG | CASES["phi3 with longrope"]
    scaling = {name: value for name, value in config["rope_scaling"].items() if name != case}
    left = {name: value for name, value in config.items() if name != case} | {"rope_scaling": scaling}
    save(tmp_path / "model", left, random_weights(config), "F16")
    with pytest.raises(WeightsError):
        convert.to_gguf(tmp_path / "model", tmp_path / "model.gguf")


def test_weights_that_are_not_known_are_refused(tmp_path: Path) -> None:
    weights = random_weights(builders.CONFIG)
    weights["model.layers.0.mlp.router.weight"] = np.zeros((4, 64), np.float32)
    save(tmp_path / "model", builders.CONFIG, weights, "F16")
    with pytest.raises(WeightsError, match="not known here"):
        convert.to_gguf(tmp_path / "model", tmp_path / "model.gguf")


def test_integers_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    folder = builders.folder(tmp_path / "model")
    weights = {
        name: ("I8" if "up_proj" in name else "F16", shape, bytes(math.prod(shape) * (1 if "up_proj" in name else 2)))
        for name, shape in builders.weight_shapes().items()
    }
    (folder / "model.safetensors").write_bytes(builders.safetensors(weights))
    with pytest.raises(WeightsError, match="type I8"):
        convert.to_gguf(folder, tmp_path / "model.gguf")
    assert_nothing_left(tmp_path)


def test_a_folder_is_converted_once_and_again_when_it_changes(tmp_path: Path) -> None:
    folder, cache = builders.folder(tmp_path / "model"), tmp_path / "cache"
    first = servable(folder, cache)
    made = first.stat().st_mtime_ns
    assert gguf.inspect(first).architecture == "llama"
    assert servable(folder, cache) == first
    assert first.stat().st_mtime_ns == made
    (folder / "chat_template.jinja").write_text("another template")
    second = servable(folder, cache)
    assert second != first
    assert gguf.inspect(second).chat_template == "another template"


def assert_nothing_left(folder: Path) -> None:
    assert [path.name for path in folder.iterdir()] == ["model"]


def random_weights(config: Mapping[str, Any]) -> Weights:
    """Large enough that attention and positions matter, rounded to half precision as the file will have them."""
    random = np.random.default_rng(5)
    shapes = builders.weight_shapes(config)
    head = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    for layer in range(config["num_hidden_layers"]):
        attention = f"model.layers.{layer}.self_attn"
        if config["model_type"] == "qwen2":
            shapes |= {f"{attention}.{p}_proj.bias": shapes[f"{attention}.{p}_proj.weight"][:1] for p in "qkv"}
        if config["model_type"] in ("qwen3", "gemma3_text"):
            shapes |= {f"{attention}.{p}_norm.weight": (head,) for p in "qk"}
        if config["model_type"] in ("gemma2", "gemma3_text"):
            around = shapes[f"model.layers.{layer}.input_layernorm.weight"]
            shapes |= {f"model.layers.{layer}.{p}_feedforward_layernorm.weight": around for p in ("pre", "post")}
        if config["model_type"] == "phi3":
            mlp = f"model.layers.{layer}.mlp"
            shapes[f"{attention}.qkv_proj.weight"] = stacked(shapes, [f"{attention}.{p}_proj.weight" for p in "qkv"])
            shapes[f"{mlp}.gate_up_proj.weight"] = stacked(shapes, [f"{mlp}.{p}_proj.weight" for p in ("gate", "up")])
    if not config["tie_word_embeddings"]:
        shapes["lm_head.weight"] = shapes[EMBED]
    weights = {}
    for name, shape in shapes.items():
        drawn = random.standard_normal(shape)
        middle = 0 if config["model_type"].startswith("gemma") else 1
        value = (
            middle + 0.3 * drawn if len(shape) == 1 and name.endswith("weight") else drawn * (2 / math.sqrt(shape[-1]))
        )
        weights[name] = value.astype(np.float16).astype(np.float32)
    return weights


def stacked(shapes: dict[str, tuple[int, ...]], names: list[str]) -> tuple[int, ...]:
    parts = [shapes.pop(name) for name in names]
    return sum(rows for rows, _ in parts), parts[0][1]


def save(folder: Path, config: Mapping[str, Any], weights: Weights, dtype: str) -> None:
    def raw(value: Any) -> bytes:
        if dtype == "BF16":
            # The upper half, rounded to the nearest.
            return bytes(((value.view(np.uint32) + 0x8000) >> 16).astype(np.uint16).tobytes())
        return bytes(value.astype(np.float16 if dtype == "F16" else np.float32).tobytes())

    builders.folder(folder)
    (folder / "config.json").write_text(json.dumps(dict(config)))
    named = {name: (dtype, value.shape, raw(value)) for name, value in weights.items()}
    (folder / "model.safetensors").write_bytes(builders.safetensors(named))


def read_gguf(file: Path) -> Weights:
    import gguf as package

    reader = package.GGUFReader(file)
    return {t.name: package.quants.dequantize(t.data, t.tensor_type) for t in reader.tensors}


def fields_of(file: Path) -> dict[str, Any]:
    import gguf as package

    return {name: field.contents() for name, field in package.GGUFReader(file).fields.items()}
