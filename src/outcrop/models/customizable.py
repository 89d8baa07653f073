"""Which models of the settings can be customized: those whose weights a trainer can read here."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from outcrop.engines.weights import WeightsError
from outcrop.engines.weights.gguf import inspect
from outcrop.errors import ValidationException
from outcrop.settings import ModelSpec

# What a base model can be made into. The names are Bedrock's.
TYPES = ("FINE_TUNING", "CONTINUED_PRE_TRAINING", "DISTILLATION")
# The architecture of GGUF files whose weights the trainer reads back.
READABLE = "llama"


def weights_of(spec: ModelSpec) -> Path:
    """A GGUF file or a Hugging Face folder. ValidationException with the reason if the trainer cannot have it."""
    if spec.engines or spec.engine not in ("llamacpp", "vllm"):
        raise ValidationException(
            f"The model {spec.id} can't be customized: its weights are not here. It is answered by "
            f"{'several engines' if spec.engines else f'an engine of the kind {spec.engine}'}."
        )
    weights = Path(spec.path or spec.model or "").expanduser()
    check(weights, spec.id)
    return weights


def check(weights: Path, model: str) -> None:
    """ValidationException if the trainer cannot read these weights of a model."""
    if weights.is_dir():
        return
    if not weights.is_file():
        raise ValidationException(f"The model {model} can't be customized: its weights are not in a folder here.")
    problem = _problem(weights, weights.stat().st_mtime_ns)
    if problem is not None:
        raise ValidationException(f"The model {model} can't be customized: {problem}")


def types_of(spec: ModelSpec) -> list[str]:
    """`customizationsSupported`."""
    try:
        weights_of(spec)
    except ValidationException:
        return []
    return list(TYPES)


@lru_cache(maxsize=256)
def _problem(weights: Path, modified: int) -> str | None:
    """Of the file as it was changed at that time."""
    try:
        file = inspect(weights)
    except WeightsError as problem:
        return str(problem)
    if file.architecture != READABLE or file.is_embedding or file.is_reranker:
        return (
            f"its weights are in a GGUF file of the architecture {file.architecture}, and only {READABLE} can be read back. "
            "Name its Hugging Face folder in the settings."
        )
    return None
