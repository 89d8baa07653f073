"""Recipes of strangers: only what cannot reach for this machine's files, and not more than it can take."""

from __future__ import annotations

import json

from outcrop.errors import ValidationException
from outcrop.training.recipe import Recipe, RecipeError, is_shipped, model_file, parameters, parse

# Weights, gradients, two moments; what a layer and the logits keep of each position until gradients are there.
_STATE_BYTES, _LAYER_VALUES, _FLOAT_BYTES = 16, 12, 4
MEMORY_BYTES = 8 << 30
DESCRIPTION_CHARACTERS = 2000
# The least and the most.
_RANGES = {
    "model.context": (512, 8192),
    "model.layers": (1, 256),
    "model.vocab_size": (300, 65_536),
    "train.tokens_per_batch": (512, 65_536),
    "train.tokens_per_step": (512, 4_194_304),
    "train.tokens": (512, 1_000_000_000_000),
    "tokenizer_examples": (1, 100_000),
    "held_out": (1, 500),
}
_MOST_COMPARED = 3


def checked(text: str, largest: int) -> Recipe:
    """ValidationException for a recipe that is not sound, or has more than `largest` parameters."""
    try:
        recipe = parse(text, "recipe")
    except RecipeError as problem:
        raise ValidationException(str(problem)) from None
    for name, (least, most) in _RANGES.items():
        if not least <= (value := _at(recipe, name)) <= most:
            raise ValidationException(f"recipe: {name} is {value}; it must be from {least} to {most} on this server.")
    if len(recipe.description) > DESCRIPTION_CHARACTERS:
        raise ValidationException(f"recipe: description has more than {DESCRIPTION_CHARACTERS} characters.")
    if recipe.start is not None:
        _check_start(recipe, recipe.start)
    if len(recipe.compared_with) > _MOST_COMPARED or not all(map(is_shipped, recipe.compared_with)):
        raise ValidationException(
            f"recipe: compared_with must be names of at most {_MOST_COMPARED} models that come with Outcrop."
        )
    if len({recipe.name, *recipe.compared_with}) <= len(recipe.compared_with):
        raise ValidationException("recipe: compared_with names a model twice, or one that is called like this one.")
    _check_size(recipe, largest)
    return recipe


def _check_start(recipe: Recipe, start: str) -> None:
    if not is_shipped(start):
        raise ValidationException("recipe: start must be the name of a model that comes with Outcrop.")
    config, model = json.loads(model_file(start).with_name("config.json").read_text("utf-8")), recipe.model
    same = {
        "vocab_size": ("vocab_size", model.vocab_size),
        "hidden_size": ("hidden_size", model.hidden_size),
        "intermediate_size": ("intermediate_size", model.intermediate_size),
        "heads": ("num_attention_heads", model.heads),
        "kv_heads": ("num_key_value_heads", model.kv_heads),
    }
    for name, (key, size) in same.items():
        if config[key] != size:
            raise ValidationException(
                f"recipe: {start} has model.{name} {config[key]}, and a model grown from it must have the same."
            )
    if model.layers < config["num_hidden_layers"]:
        raise ValidationException(
            f"recipe: {start} has {config['num_hidden_layers']} layers, and growing takes none away."
        )


def _check_size(recipe: Recipe, largest: int) -> None:
    size = parameters(recipe.model)
    if size > largest:
        raise ValidationException(
            f"recipe: the model has {size:,} parameters; {largest:,} are the most on this server (the setting "
            "largest_pretraining_parameters)."
        )
    model = recipe.model
    layer = _LAYER_VALUES * model.hidden_size + 4 * model.intermediate_size
    position = _FLOAT_BYTES * (2 * model.vocab_size + model.layers * layer)
    needed = _STATE_BYTES * size + recipe.train.tokens_per_batch * position
    if needed > MEMORY_BYTES:
        raise ValidationException(
            f"recipe: training would need about {needed / 2**30:.1f} GiB of memory; {MEMORY_BYTES / 2**30:.0f} GiB are the most. "
            "A smaller tokens_per_batch needs less."
        )


def _at(recipe: Recipe, name: str) -> int:
    part, _, field = name.rpartition(".")
    value: int = getattr(getattr(recipe, part) if part else recipe, field)
    return value
