"""Recipes: what is wrong with one is said in a sentence that names the file and the field."""

from __future__ import annotations

from pathlib import Path

import pytest

from outcrop.training.generators import FAMILIES
from outcrop.training.recipe import RecipeError, is_shipped, load, parameters, parse
from tests.training.conftest import RECIPE

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("file", sorted((REPOSITORY / "recipes").glob("*.toml")), ids=lambda file: file.stem)
def test_the_recipes_that_come_along(file: Path) -> None:
    assert load(file).name.startswith("house-")


WRONG: dict[str, tuple[str, str, str]] = {
    "a misspelt field": ("heads = 4", "head = 4", "head"),
    "a text for a number": ("layers = 2", 'layers = "two"', "layers"),
    "no tokens": ("tokens = 12000", "", "tokens"),
    "no name": ('name = "tiny"', "", "name"),
    "an unknown precision": ('"fp32"', '"fp8"', "precision"),
    "heads that do not divide": ("heads = 4\n", "heads = 5\n", "hidden_size"),
    "heads of an odd width": ("heads = 4\nkv_heads = 2", "heads = 64\nkv_heads = 64", "hidden_size"),
    "key heads that do not divide": ("kv_heads = 2", "kv_heads = 3", "kv_heads"),
    "rows that are no blocks": ("intermediate_size = 96", "intermediate_size = 100", "q8_0"),
    "too small a vocabulary": ("vocab_size = 512", "vocab_size = 100", "vocab_size"),
    "a step smaller than a batch": ("tokens_per_step = 1024", "tokens_per_step = 100", "tokens_per_step"),
    "no TOML": ("[model]", "[model", "not valid TOML"),
    "a name that is a path": ('name = "tiny"', 'name = "../tiny"', "name must be"),
    "no heads": ("heads = 4\n", "heads = 0\n", "model.heads must be at least 1"),
    "no layers": ("layers = 2", "layers = -1", "model.layers must be at least 1"),
    "no measuring": ("[model]", "held_out = 0\n[model]", "held_out must be at least 1"),
    "a rate that is none": ("threads = 1", "learning_rate = nan", "learning_rate"),
    "no decay": ("threads = 1", "decay = 0.0", "train.decay must be more than 0"),
    "no end of clipping": ("threads = 1", "clip = inf", "train.clip"),
    "a seed that torch does not take": ("threads = 1", "seed = -1", "train.seed"),
    "nothing to draw": ("[model]", "[shares]\nchat = inf\n[model]", "shares must be numbers"),
    "a number without end": ("threads = 1", f"seed = {'9' * 5000}", "not valid TOML"),
    "brackets within brackets": ("threads = 1", f"seed = {'[' * 5000}", "not valid TOML"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_recipe(tmp_path: Path, case: str) -> None:
    old, new, named = WRONG[case]
    assert old in RECIPE
    file = tmp_path / "wrong.toml"
    file.write_text(RECIPE.replace(old, new))
    with pytest.raises(RecipeError, match=named) as refusal:
        load(file)
    assert str(file) in str(refusal.value)


def test_a_recipe_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        load(tmp_path / "missing.toml")


def test_a_recipe_that_is_not_text(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match="not valid TOML"):
        load(tmp_path / "binary.toml")


def test_all_shares_nothing_leave_no_family(tmp_path: Path) -> None:
    none = "\n".join(f"{family} = 0.0" for family in FAMILIES)
    with pytest.raises(RecipeError, match="leave a family"):
        parse(RECIPE.replace("[model]", f"[shares]\n{none}\n[model]"), "recipe")


def test_parameters_are_those_of_the_model() -> None:
    pytest.importorskip("torch")
    from outcrop.training.model import Decoder
    from outcrop.training.pretraining import config_of

    recipe = parse(RECIPE, "recipe")
    assert parameters(recipe.model) == Decoder(config_of(recipe)).parameters_count()


def test_more_vocabulary_than_the_examples_have(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    from outcrop.training.run import tokenizer_of

    text = RECIPE.replace("vocab_size = 512", "vocab_size = 9000").replace(
        "tokenizer_examples = 200", "tokenizer_examples = 5"
    )
    with pytest.raises(RecipeError, match=r"5 tokenizer_examples have \d+ tokens, and model.vocab_size is 9000"):
        tokenizer_of(parse(text, "recipe"), tmp_path)
    assert not list(tmp_path.iterdir())


def test_what_is_shipped() -> None:
    assert is_shipped("house-nano-v1")
    assert not any(map(is_shipped, ("house-nano-v1/../house-nano-v1", "..", "", "house-nano-v9")))
