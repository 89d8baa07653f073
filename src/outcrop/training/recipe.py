"""A recipe: a TOML file that says all there is to say about a model."""

from __future__ import annotations

import math
import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Literal

import msgspec

from outcrop.training.generators import FAMILIES


class RecipeError(Exception):
    """A sentence for the person who wrote the recipe."""


class ModelPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    vocab_size: int = 2048
    hidden_size: int = 192
    intermediate_size: int = 512
    layers: int = 6
    heads: int = 6
    kv_heads: int = 6
    context: int = 2048


class TrainPart(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`tokens` counts all trained positions, prompts included; `decay` and `warmup` are shares of them.

    `tokens_per_step` is one optimizer step, done in pieces of `tokens_per_batch`; `threads` 0 means the free cores.
    `precision` auto computes in bfloat16 where the processor has arithmetic for it; the weights are float32 always.
    `compile`: torch.compile, which takes a minute or more before it pays.
    """

    tokens: int
    tokens_per_step: int = 8192
    tokens_per_batch: int = 4096
    learning_rate: float = 3e-3
    muon_learning_rate: float = 0.02
    weight_decay: float = 0.01
    warmup: float = 0.02
    decay: float = 0.35
    clip: float = 1.0
    seed: int = 1
    threads: int = 0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    checkpoint_seconds: float = 120.0
    compile: bool = False


class Recipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`start`: the GGUF file of a model to go on from, of the same widths and at most as many layers, `tokenizer.json` beside it;
    or the name of a shipped one. `shares`: how often families of examples are drawn, where not as often as they usually are.
    `compared_with`: GGUF files or shipped models, predecessors or of another size, that the model card sets beside this one.
    """

    name: str
    description: str
    train: TrainPart
    model: ModelPart = ModelPart()
    start: str | None = None
    shares: dict[str, float] = {}
    compared_with: list[str] = []
    tokenizer_examples: int = 30000
    held_out: int = 100


# No path, and no name of a file that has a meaning of its own.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_LARGEST_SEED = 2**63 - 1


def load(path: Path) -> Recipe:
    try:
        text = path.read_text("utf-8")
    except OSError as problem:
        raise RecipeError(f"The recipe {path} cannot be read: {problem.strerror}.") from None
    except UnicodeDecodeError as problem:
        raise RecipeError(f"{path} is not valid TOML: {problem}") from None
    recipe = parse(text, str(path))
    _check_files(path, recipe)
    return recipe


def parse(text: str, called: str) -> Recipe:
    """RecipeError, in which the recipe is called so, if the text is no sound one. Files that it names are not looked for."""
    try:
        recipe = msgspec.convert(tomllib.loads(text), Recipe)
    except (msgspec.ValidationError, OverflowError) as problem:
        raise RecipeError(f"{called}: {problem}") from None
    except (ValueError, RecursionError) as problem:
        # Numbers of thousands of digits and brackets within brackets are no errors of TOML to the reader.
        raise RecipeError(f"{called} is not valid TOML: {problem}") from None
    _check(called, recipe)
    return recipe


def parameters(model: ModelPart) -> int:
    """How many the model has."""
    width = model.hidden_size
    attention = 2 * width * width + 2 * width * (width // model.heads * model.kv_heads)
    layer = attention + 3 * width * model.intermediate_size + 2 * width
    return model.vocab_size * width + model.layers * layer + width


def is_shipped(name: str) -> bool:
    """Whether a model of that name comes with Outcrop."""
    return _NAME.fullmatch(name) is not None and _shipped(name).is_file()


def _shipped(name: str) -> Path:
    return Path(str(resources.files("outcrop"))) / "house" / name / f"{name}.gguf"


def model_file(name: str) -> Path:
    """The GGUF file of a shipped model, or of any."""
    shipped = _shipped(name)
    return shipped if shipped.exists() else Path(name)


def _check(path: str, recipe: Recipe) -> None:
    model, train = recipe.model, recipe.train
    if _NAME.fullmatch(recipe.name) is None:
        raise RecipeError(f"{path}: name must be up to 63 letters, digits and ._- that begin with a letter or digit.")
    if unknown := sorted(set(recipe.shares) - set(FAMILIES)):
        raise RecipeError(f"{path}: shares names {unknown[0]}, which is no family. There are {', '.join(FAMILIES)}.")
    if any(share < 0 for share in recipe.shares.values()):
        raise RecipeError(f"{path}: shares must not be negative.")
    if wrong := _out_of_range(recipe):
        raise RecipeError(f"{path}: {wrong}.")
    if model.hidden_size % model.heads or (model.hidden_size // model.heads) % 2:
        raise RecipeError(f"{path}: model.hidden_size must be heads times an even number, for rotary positions.")
    if model.heads % model.kv_heads:
        raise RecipeError(f"{path}: model.heads must be a multiple of model.kv_heads.")
    if model.hidden_size % 32 or model.intermediate_size % 32:
        raise RecipeError(f"{path}: model.hidden_size and intermediate_size must be multiples of 32, for q8_0 export.")
    if model.vocab_size < 300:
        raise RecipeError(f"{path}: model.vocab_size must be at least 300: 256 bytes and the special tokens.")
    if train.tokens < train.tokens_per_step or train.tokens_per_step < train.tokens_per_batch:
        raise RecipeError(f"{path}: tokens >= tokens_per_step >= tokens_per_batch must hold in [train].")


def _check_files(path: Path, recipe: Recipe) -> None:
    if missing := [name for name in recipe.compared_with if not model_file(name).is_file()]:
        raise RecipeError(f"{path}: compared_with names {missing[0]}, which is neither a shipped model nor a file.")
    names = [recipe.name, *(model_file(name).stem for name in recipe.compared_with)]
    if len(set(names)) < len(names):
        raise RecipeError(f"{path}: compared_with names two models of one name, or this one.")


def _out_of_range(recipe: Recipe) -> str | None:
    """What makes no model, or no training, whatever the rest says."""
    model, train = recipe.model, recipe.train
    small = [f"model.{name}" for name, size in msgspec.structs.asdict(model).items() if size < 1]
    small += [f"train.{name}" for name in ("tokens", "tokens_per_step", "tokens_per_batch") if getattr(train, name) < 1]
    small += [name for name in ("tokenizer_examples", "held_out") if getattr(recipe, name) < 1]
    if small:
        return f"{small[0]} must be at least 1"
    rules = {
        "train.learning_rate and muon_learning_rate must be more than 0 and at most 1": 0 < train.learning_rate <= 1
        and 0 < train.muon_learning_rate <= 1,
        "train.weight_decay must be from 0 to 1": 0 <= train.weight_decay <= 1,
        "train.warmup must be from 0 to 1": 0 <= train.warmup <= 1,
        "train.decay must be more than 0 and at most 1": 0 < train.decay <= 1,
        "train.clip must be a number more than 0": 0 < train.clip < math.inf,
        f"train.seed must be from 0 to {_LARGEST_SEED}": 0 <= train.seed <= _LARGEST_SEED,
        "train.threads must not be negative": train.threads >= 0,
        "train.checkpoint_seconds must not be negative": train.checkpoint_seconds >= 0,
        "shares must be numbers, and leave a family to be drawn": 0
        < sum(recipe.shares.get(name, share) for name, (_, share) in FAMILIES.items())
        < math.inf,
    }
    return next((sentence for sentence, holds in rules.items() if not holds), None)
