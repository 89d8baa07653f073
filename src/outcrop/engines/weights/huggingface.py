"""A Hugging Face folder, checked before anything of it is used: no pickles, no code, nothing outside of the folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from outcrop.engines.weights import safetensors
from outcrop.engines.weights.architectures import ARCHITECTURES, Architecture
from outcrop.engines.weights.errors import WeightsError

LARGEST_JSON = 64 * 1024 * 1024
# What transformers would import for a model that brings its own code.
_CODE = ("modeling_*.py", "configuration_*.py", "tokenization_*.py")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")


@dataclass(frozen=True, slots=True)
class HfFolder:
    """`tensors` has every weight by its Hugging Face name."""

    path: Path
    architecture: Architecture
    config: Mapping[str, Any]
    tokenizer: Mapping[str, Any]
    tokenizer_config: Mapping[str, Any]
    chat_template: str | None
    tensors: Mapping[str, safetensors.Tensor]


def check(folder: Path) -> HfFolder:
    """WeightsError with a sentence if the folder cannot be served."""
    _check_files(folder)
    config = _json(folder / "config.json")
    if _names_code(config):
        raise WeightsError(f"{folder} wants its own code to be run (auto_map), which Outcrop never does.")
    names = config.get("architectures")
    name = names[0] if isinstance(names, list) and names else names
    known = ARCHITECTURES.get(name) if isinstance(name, str) else None
    if known is None:
        raise WeightsError(
            f"{folder} is a {str(name)[:80]}, which cannot be converted. Known are {', '.join(ARCHITECTURES)}; "
            "fetch a GGUF file of the model, or serve the folder with the engine vllm."
        )
    settings = _json(folder / "tokenizer_config.json") if (folder / "tokenizer_config.json").exists() else {}
    if _names_code(settings):
        raise WeightsError(f"{folder} wants its own tokenizer code to be run (auto_map), which Outcrop never does.")
    tokenizer = _json(folder / "tokenizer.json")
    return HfFolder(folder, known, config, tokenizer, settings, _template(folder, settings), _tensors(folder))


def _check_files(folder: Path) -> None:
    root = folder.resolve()
    # The hub's own cache keeps snapshots/REVISION/NAME as a link to ../../blobs/HASH.
    blobs = root.parent.parent / "blobs"
    for path in _listed(folder):
        if not path.is_symlink():
            continue
        if not _within(path.resolve(), root) and path.resolve().parent != blobs:
            raise WeightsError(f"{path} is a link that leads out of its folder.")
        if not path.exists():
            raise WeightsError(f"{path} is a link that leads nowhere; fetch the model again.")
    if code := [path.name for pattern in _CODE for path in folder.glob(pattern)]:
        raise WeightsError(f"{folder} brings its own code ({', '.join(code[:5])}), which Outcrop never runs.")
    for needed in ("config.json", "tokenizer.json"):
        if not (folder / needed).is_file():
            raise WeightsError(f"{folder} has no {needed}; give a GGUF file or a whole Hugging Face folder.")


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError as problem:
        raise WeightsError(f"{folder} cannot be read: {problem.strerror}.") from None


def _within(path: Path, root: Path) -> bool:
    return path == root or root in path.parents


def _names_code(config: Mapping[str, Any]) -> bool:
    return bool(config.get("auto_map"))


def _tensors(folder: Path) -> dict[str, safetensors.Tensor]:
    index = folder / "model.safetensors.index.json"
    files = _indexed(folder, _json(index)) if index.exists() else sorted(folder.glob("*.safetensors"))
    if not files:
        pickles = [path.name for path in folder.iterdir() if path.suffix in _PICKLES]
        why = f"only pickles ({', '.join(pickles)}), which can run code when they are read" if pickles else "no weights"
        raise WeightsError(f"{folder} has {why}; Outcrop reads safetensors and GGUF.")
    found: dict[str, safetensors.Tensor] = {}
    for file in files:
        found.update(safetensors.tensors(file))
    return found


def _indexed(folder: Path, index: Mapping[str, Any]) -> list[Path]:
    names = index.get("weight_map")
    if not isinstance(names, dict):
        raise WeightsError(f"{folder}: model.safetensors.index.json has no weight_map.")
    files = sorted({str(name) for name in names.values()})
    for name in files:
        if Path(name).name != name or not name.endswith(".safetensors"):
            raise WeightsError(f"{folder}: the index names {name[:120]!r}, which is no file of the folder.")
        if not (folder / name).is_file():
            raise WeightsError(f"{folder}: the index names {name}, which is not there.")
    return [folder / name for name in files]


def _template(folder: Path, settings: Mapping[str, Any]) -> str | None:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return _text(file)
    given = settings.get("chat_template")
    if isinstance(given, list):
        named = {entry.get("name"): entry.get("template") for entry in given if isinstance(entry, dict)}
        given = named.get("default")
    return given if isinstance(given, str) else None


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_JSON:
            raise WeightsError(f"{path} is too large to be true.")
        return path.read_bytes()
    except OSError as problem:
        raise WeightsError(f"{path} cannot be read: {problem.strerror}.") from None


def _text(path: Path) -> str:
    try:
        return _bytes(path).decode("utf-8")
    except UnicodeDecodeError:
        raise WeightsError(f"{path} is not UTF-8.") from None


def _json(path: Path) -> dict[str, Any]:
    try:
        value = orjson.loads(_bytes(path))
    except orjson.JSONDecodeError as problem:
        raise WeightsError(f"{path} is not valid JSON: {problem}.") from None
    if not isinstance(value, dict):
        raise WeightsError(f"{path} is not a JSON object.")
    return value
