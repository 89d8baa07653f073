"""A BPE tokenizer.json in GGUF's terms: byte-level, or SentencePiece's form of it (Llama 2, Mistral, Gemma, Phi 3)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import orjson

from outcrop.engines.weights.errors import WeightsError
from outcrop.engines.weights.huggingface import HfFolder

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6

# Composed characters are what texts consist of anyway, so llama.cpp leaves NFC out.
_HARMLESS_NORMALIZERS = (None, "NFC")

_SPACE = "\u2581"
_AT_SPACES = ("Split", {"String": " "})
_BYTE = re.compile("<0x[0-9A-F]{2}>")

_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_LLAMA3 = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """`model` is GGUF's: `gpt2` is byte-level BPE, whoever's it is, with `merges`; `llama` is SentencePiece's, with `scores`.

    `pre` is llama.cpp's name of the pre-tokenizer; ids are None where the model has no such token.
    """

    tokens: list[str]
    types: list[int]
    merges: list[str]
    pre: str
    bos: int | None
    eos: int | None
    add_bos: bool
    model: Literal["gpt2", "llama"] = "gpt2"
    scores: list[float] = field(default_factory=list)
    space_in_front: bool = False


def vocabulary_of(folder: HfFolder) -> Vocabulary:
    """WeightsError where llama.cpp has no tokenizer that does the same."""
    try:
        return _vocabulary(folder)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError):
        raise WeightsError(f"{folder.path}/tokenizer.json is damaged; fetch it again.") from None


def _vocabulary(folder: HfFolder) -> Vocabulary:
    model = folder.tokenizer.get("model") or {}
    if model.get("type") != "BPE" or not isinstance(model.get("vocab"), dict) or not model["vocab"]:
        raise WeightsError(f"{folder.path} has a {model.get('type')} tokenizer; only BPE can be converted.")
    # llama.cpp does not load byte-level BPE without any merge.
    if not model.get("merges"):
        raise ValueError("no merges")
    return _sentencepiece(folder, model) if model.get("byte_fallback") else _byte_level(folder, model)


def _byte_level(folder: HfFolder, model: Mapping[str, Any]) -> Vocabulary:
    pre = pre_tokenizer(folder.tokenizer.get("pre_tokenizer"))
    if pre is None:
        raise _unknown_pre_tokenizer(folder)
    if (folder.tokenizer.get("normalizer") or {}).get("type") not in _HARMLESS_NORMALIZERS:
        raise WeightsError(f"{folder.path} changes texts before it cuts them (normalizer), which GGUF cannot say.")
    ids, tokens, types = _tokens(folder, model)
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]]
    bos, eos = _marks(folder, ids)
    return Vocabulary(tokens, types, merges, pre, bos, eos, _adds_bos(folder, tokens, bos))


def _sentencepiece(folder: HfFolder, model: Mapping[str, Any]) -> Vocabulary:
    """llama.cpp joins the pair whose whole has the best score, so scores must say what the merges say."""
    space = _space_in_front(folder)
    ids, tokens, types = _tokens(folder, model)
    for token, number in ids.items():
        if _BYTE.fullmatch(token):
            types[number] = BYTE
    if (unknown := model.get("unk_token")) is not None:
        types[ids[unknown]] = UNKNOWN
    pieces = {token for token, number in ids.items() if types[number] == NORMAL}
    if space is None or not _ordered(model["vocab"], model["merges"], pieces):
        raise _unknown_pre_tokenizer(folder)
    scores = [-float(number) if kind == NORMAL else 0.0 for number, kind in enumerate(types)]
    bos, eos = _marks(folder, ids)
    adds = _adds_bos(folder, tokens, bos)
    return Vocabulary(tokens, types, [], "default", bos, eos, adds, "llama", scores, space)


def _tokens(folder: HfFolder, model: Mapping[str, Any]) -> tuple[dict[str, int], list[str], list[int]]:
    """Ids of all tokens, and in their order the tokens and their types."""
    ids: dict[str, int] = dict(model["vocab"])
    added = {entry["content"]: entry for entry in folder.tokenizer.get("added_tokens") or ()}
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
    return ids, tokens, types


def _marks(folder: HfFolder, ids: Mapping[str, int]) -> tuple[int | None, int | None]:
    """Ids of the tokens that begin and end a text."""
    settings, config = folder.tokenizer_config, folder.config
    bos = ids.get(_text(settings.get("bos_token")) or "", _one(config.get("bos_token_id")))
    return bos, ids.get(_text(settings.get("eos_token")) or "", _one(config.get("eos_token_id")))


def _unknown_pre_tokenizer(folder: HfFolder) -> WeightsError:
    return WeightsError(
        f"The pre-tokenizer of {folder.path} is not known here, and another would cut texts differently. "
        "Fetch a GGUF file of the model, or serve the folder with the engine vllm."
    )


def _space_in_front(folder: HfFolder) -> bool | None:
    """Whether a text is begun with a space; None where spaces are not treated as SentencePiece does."""
    normal, pre = folder.tokenizer.get("normalizer"), folder.tokenizer.get("pre_tokenizer")
    if normal is None and pre is not None and pre.get("type") == "Metaspace" and pre.get("replacement") == _SPACE:
        # `first` is for the beginning of everything, which in a chat is a control token and no text.
        return pre.get("prepend_scheme") == "always" or (
            pre.get("prepend_scheme") == "first" and folder.chat_template is None
        )
    steps = [step for step in (normal or {}).get("normalizers", [normal]) if step is not None]
    replaced = {"type": "Replace", "pattern": {"String": " "}, "content": _SPACE}
    # Gemma cuts at spaces when there are none left.
    if steps[-1:] != [replaced] or (pre is not None and (pre.get("type"), pre.get("pattern")) != _AT_SPACES):
        return None
    return {0: False, 1: True}[len(steps) - 1] if steps[:-1] in ([], [{"type": "Prepend", "prepend": _SPACE}]) else None


def _ordered(ids: Mapping[str, int], merges: Sequence[Any], pieces: Collection[str]) -> bool:
    """Whether pieces are merged in the order of their ids, and from any two pieces that they can be made of."""
    pairs = [tuple(pair) if isinstance(pair, list) else tuple(pair.split(" ", 1)) for pair in merges]
    made = [ids[left + right] for left, right in pairs]
    every = {
        (piece[:cut], piece[cut:])
        for piece in pieces
        for cut in range(1, len(piece))
        if piece[:cut] in pieces and piece[cut:] in pieces
    }
    return all(first <= second for first, second in pairwise(made)) and every <= set(pairs)


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
