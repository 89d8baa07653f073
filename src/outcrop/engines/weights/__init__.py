"""Model files: which are served, which are refused, and how a Hugging Face folder becomes a GGUF file."""

from __future__ import annotations

import hashlib
from pathlib import Path

from outcrop.engines.weights.errors import WeightsError

__all__ = ["WeightsError", "converted_name", "servable"]


def servable(path: Path, cache: Path) -> Path:
    """The GGUF file to serve for `path`: the file itself, or what a Hugging Face folder was converted to, once, in `cache`."""
    if not path.exists():
        raise WeightsError(f"The model's path {path} does not exist.")
    if path.is_file():
        from outcrop.engines.weights import gguf

        gguf.inspect(path)
        return path
    if not path.is_dir():
        raise WeightsError(f"{path} is neither a GGUF file nor a Hugging Face folder.")
    from outcrop.engines.weights import huggingface

    folder = huggingface.check(path)
    target = cache / converted_name(path)
    if not target.exists():
        from outcrop.engines.weights import convert

        cache.mkdir(parents=True, exist_ok=True)
        convert.to_gguf(folder.path, target)
    return target


def converted_name(folder: Path) -> str:
    """What a Hugging Face folder's conversion is called in the cache."""
    return f"{folder.resolve().name}-{fingerprint(folder)}.gguf"


def fingerprint(folder: Path) -> str:
    """Changes when a file of the folder does: names, sizes and times are enough, and weights are long to read."""
    digest = hashlib.sha256(str(folder.resolve()).encode())
    for path in sorted(folder.iterdir()):
        stat = path.stat()
        digest.update(f"{path.name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]
