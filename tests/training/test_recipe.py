"""Recipes: what is wrong with one is said in a sentence that names the file and the field."""

from __future__ import annotations

from pathlib import Path

import pytest

from outcrop.training.recipe import RecipeError, load
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
