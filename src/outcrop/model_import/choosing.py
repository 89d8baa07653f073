"""Which of the objects below a prefix are a model's files. What they are called is all that is known of them yet."""

from __future__ import annotations

import re
from collections.abc import Sequence

from outcrop.batch.refused import Refused
from outcrop.objects.objects import Stored

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_WANTED = re.compile(
    r".+\.safetensors|.+\.gguf|(?:config|generation_config|tokenizer|tokenizer_config|special_tokens_map|added_tokens|vocab"
    r"|chat_template|preprocessor_config)\.json|model\.safetensors\.index\.json|tokenizer\.model|merges\.txt|chat_template\.jinja"
)
# These run code when they are read, or are code.
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".npy", ".npz", ".h5", ".msgpack", ".joblib")
_CODE = re.compile(r"(?:modeling|configuration|tokenization|processing)_.+\.py")
MOST_FILES = 2000


def chosen(uri: str, stored: Sequence[Stored]) -> list[Stored]:
    """Files directly below the prefix. Refused, in a sentence, if they are no model's or would bring code along."""
    prefix = uri.rstrip("/") + "/"
    named = [(one.uri.removeprefix(prefix), one) for one in stored if one.uri.startswith(prefix)]
    files = {name: one for name, one in named if "/" not in name and _SAFE.fullmatch(name) is not None}
    if code := sorted(name for name in files if _CODE.fullmatch(name)):
        raise Refused(f"{uri} brings its own code ({', '.join(code[:5])}), which is never run. Leave it out.")
    wanted = [files[name] for name in sorted(files) if _WANTED.fullmatch(name)]
    kinds = {"gguf" if one.key.endswith(".gguf") else "safetensors" for one in wanted if is_weights(one.key)}
    if not kinds:
        pickles = sorted(name for name in files if name.endswith(_PICKLES))
        why = (
            f"only pickles ({', '.join(pickles[:5])}), which can run code when they are read"
            if pickles
            else "no weights"
        )
        raise Refused(f"{uri} has {why}. Give *.safetensors with config.json and tokenizer.json, or one GGUF file.")
    if len(kinds) > 1 or sum(one.key.endswith(".gguf") for one in wanted) > 1:
        raise Refused(f"{uri} has several models: safetensors and GGUF, or more than one GGUF file. Leave one.")
    if len(wanted) > MOST_FILES:
        raise Refused(f"{uri} has {len(wanted)} files; {MOST_FILES} are the most of a model.")
    return wanted


def is_weights(name: str) -> bool:
    return name.endswith((".safetensors", ".gguf"))
