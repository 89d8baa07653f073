"""A byte-level BPE tokenizer.json in GGUF's terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from outcrop.engines.weights.errors import WeightsError
from outcrop.engines.weights.huggingface import HfFolder

NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5

# Composed characters are what texts consist of anyway, so llama.cpp leaves NFC out.
_HARMLESS_NORMALIZERS = (None, "NFC")

_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`pre` is llama.cpp's name of the pre-tokenizer; ids are None where the model has no such token."""

    tokens: list[str]
    types: list[int]
    merges: list[str]
    pre: str
    bos: int | None
    eos: int | None
    add_bos: bool


def vocabulary_of(folder: HfFolder) -> Vocabulary:
    """WeightsError where llama.cpp has no tokenizer that does the same."""
    try:
        return _vocabulary(folder)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError):
        raise WeightsError(f"{folder.path}/tokenizer.json is damaged; fetch it again.") from None


def _vocabulary(folder: HfFolder) -> Vocabulary:
    tokenizer, model = folder.tokenizer, folder.tokenizer.get("model") or {}
    if model.get("type") != "BPE" or not isinstance(model.get("vocab"), dict) or not model["vocab"]:
        raise WeightsError(f"{folder.path} has a {model.get('type')} tokenizer; only byte-level BPE can be converted.")
    pre = pre_tokenizer(tokenizer.get("pre_tokenizer"))
    if pre is None:
        raise WeightsError(
            f"The pre-tokenizer of {folder.path} is not known here, and another would cut texts differently. "
            "Fetch a GGUF file of the model, or serve the folder with the engine vllm."
        )
    if (tokenizer.get("normalizer") or {}).get("type") not in _HARMLESS_NORMALIZERS:
        raise WeightsError(f"{folder.path} changes texts before it cuts them (normalizer), which GGUF cannot say.")
    ids: dict[str, int] = dict(model["vocab"])
    added = {entry["content"]: entry for entry in tokenizer.get("added_tokens") or ()}
    ids.update((content, entry["id"]) for content, entry in added.items())
    if min(ids.values()) < 0:
        raise ValueError("a negative id")
    size = max(int(folder.config.get("vocab_size") or 0), max(ids.values()) + 1)
    if size > 4 * len(ids) + 1024:
        raise WeightsError(f"{folder.path}: a vocabulary of {size} for {len(ids)} tokens cannot be right.")
    tokens, types = [f"[PAD{i}]" for i in range(size)], [UNUSED] * size
    for content, number in ids.items():
        tokens[number] = content
        types[number] = NORMAL if content not in added else CONTROL if added[content].get("special") else USER_DEFINED
    # llama.cpp does not load byte-level BPE without any merge.
    if not model.get("merges"):
        raise ValueError("no merges")
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model.get("merges") or ()]
    bos = ids.get(_text(folder.tokenizer_config.get("bos_token")) or "", _one(folder.config.get("bos_token_id")))
    eos = ids.get(_text(folder.tokenizer_config.get("eos_token")) or "", _one(folder.config.get("eos_token_id")))
    return Vocabulary(tokens, types, merges, pre, bos, eos, _adds_bos(folder, tokens, bos))


def pre_tokenizer(given: object) -> str | None:
    """llama.cpp's name for a tokenizer.json's `pre_tokenizer`, or None."""
    steps = _steps(given)
    kinds = [step.get("type") for step in steps]
    if any(step.get("add_prefix_space") or step.get("invert") for step in steps):
        return None
    if kinds == ["ByteLevel"] and steps[0].get("use_regex", True):
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits") and steps[1].get("use_regex", True):
        return "smollm"
    if kinds == ["Split", "ByteLevel"] and not steps[1].get("use_regex", True):
        if steps[0].get("behavior") != "Isolated":
            return None
        pattern = steps[0].get("pattern", {}).get("Regex")
        return {_QWEN2: "qwen2", _LLAMA3: "llama-bpe"}.get(pattern)
    return None


def _steps(given: object) -> list[Mapping[str, Any]]:
    if not isinstance(given, dict):
        return []
    inner = given.get("pretokenizers") if given.get("type") == "Sequence" else [given]
    return [step for step in inner or () if isinstance(step, dict)]


def _adds_bos(folder: HfFolder, tokens: list[str], bos: int | None) -> bool:
    if bos is None:
        return False
    if isinstance(told := folder.tokenizer_config.get("add_bos_token"), bool):
        return told
    return tokens[bos] in orjson.dumps(folder.tokenizer.get("post_processor")).decode()


def _text(token: object) -> str | None:
    """Older files have an object for a token, newer ones its text."""
    found = token.get("content") if isinstance(token, dict) else token
    return found if isinstance(found, str) else None


def _one(value: object) -> int | None:
    first = value[0] if isinstance(value, list) and value else value
    return first if isinstance(first, int) else None
