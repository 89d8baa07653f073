"""Which of two models a router takes, by their strengths and the prompt's difficulty."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outcrop.engines.engine import Capabilities
from outcrop.engines.pool import Engines
from outcrop.engines.weights.gguf import inspect
from outcrop.models.difficulty import Outline, difficulty
from outcrop.models.model import Model
from outcrop.models.routing import can_answer, estimated_strength, gap, prefers, quality, strength
from outcrop.models.specs import house_path, house_spec
from outcrop.settings import HOUSE_MODEL, ChoiceSpec, EngineSettings, ModelSpec

SHARES = st.floats(0, 1)
PERCENT = st.floats(0, 100)
OUTLINES = st.builds(Outline, text=st.text(max_size=100), turns=st.integers(1, 20), tools=st.integers(0, 20))
ABLE = Capabilities(context_tokens=1000, tools=True, images=True)


def model(quality: float | None = None, parameters: int | None = None, able: Capabilities = ABLE) -> Model:
    return Model("test.m", "M", "Test", replace(able, parameters=parameters), 500, None, quality=quality)


@given(SHARES, SHARES, OUTLINES, PERCENT, PERCENT)
def test_a_higher_difference_never_sends_more_away_from_the_fallback(
    other: float, fallback: float, outline: Outline, one: float, two: float
) -> None:
    low, high = sorted((one, two))
    if prefers(model(other), model(fallback), outline, high):
        assert prefers(model(other), model(fallback), outline, low)


@given(SHARES, SHARES, SHARES, SHARES)
def test_a_harder_prompt_never_makes_the_stronger_models_lead_smaller(a: float, b: float, x: float, y: float) -> None:
    fallback, other = sorted((a, b))
    easy, hard = sorted((x, y))
    assert gap(other, fallback, hard) >= gap(other, fallback, easy)


@given(SHARES, SHARES, SHARES)
def test_the_gap_is_the_difference_of_the_predicted_qualities(other: float, fallback: float, hard: float) -> None:
    assert gap(other, fallback, hard) == pytest.approx(quality(other, hard) - quality(fallback, hard), abs=1e-12)
    assert 0 <= quality(other, hard) <= 1


@given(OUTLINES, st.floats(0.01, 100))
def test_equal_or_unknown_strengths_stay_with_the_fallback_unless_no_difference_is_asked(
    outline: Outline, difference: float
) -> None:
    for other, fallback in ((0.5, 0.5), (None, 0.1), (0.9, None), (None, None)):
        assert not prefers(model(other), model(fallback), outline, difference)
        assert prefers(model(other), model(fallback), outline, 0)


@given(OUTLINES, st.floats(0, 100), SHARES, SHARES)
def test_a_weaker_model_is_never_preferred(outline: Outline, difference: float, a: float, b: float) -> None:
    weak, strong = sorted((a, b))
    if strong - weak > 1e-9:
        assert not prefers(model(weak), model(strong), outline, difference)


def test_the_threshold_itself_is_enough() -> None:
    outline = Outline(text="Why?")
    lead = 100 * gap(1.0, 0.0, difficulty(outline))
    assert prefers(model(1.0), model(0.0), outline, lead)
    assert not prefers(model(1.0), model(0.0), outline, lead * 1.0001)


def test_the_strength_is_the_settings_else_estimated_from_the_parameters() -> None:
    assert strength(model(0.7, parameters=10**9)) == 0.7
    assert strength(model(0.0, parameters=10**9)) == 0.0
    assert strength(model(parameters=10**9)) == estimated_strength(10**9)
    assert strength(model()) is None


@pytest.mark.parametrize(
    ("parameters", "published"),
    # Llama 3.2 1B, 3B, Llama 3.1 8B, 70B, 405B Instruct on MATH, by Meta's model cards.
    [
        (1_230_000_000, 0.306),
        (3_210_000_000, 0.473),
        (8_030_000_000, 0.519),
        (70_600_000_000, 0.68),
        (405 * 10**9, 0.738),
    ],
)
def test_the_estimate_follows_published_scores(parameters: int, published: float) -> None:
    assert estimated_strength(parameters) == pytest.approx(published, abs=0.06)


@given(st.integers(0, 10**15), st.integers(0, 10**15))
def test_more_parameters_are_never_estimated_weaker(one: int, two: int) -> None:
    small, large = sorted((one, two))
    assert 0 < estimated_strength(small) <= estimated_strength(large) < 1


@pytest.mark.parametrize(
    ("outline", "can"),
    [
        (Outline(), True),
        (Outline(needs=frozenset({"chat", "tools", "images"})), True),
        (Outline(needs=frozenset({"json_schema"})), False),
        (Outline(characters=4000), True),
        (Outline(characters=4001), False),
        (Outline(max_tokens=500), True),
        (Outline(max_tokens=501), False),
    ],
)
def test_what_a_model_can_answer(outline: Outline, can: bool) -> None:
    assert can_answer(model(), outline) is can


def test_the_parameters_are_counted_in_the_file_of_weights() -> None:
    # The number that the house model's own card gives.
    assert inspect(house_path()).parameters == 4_656_384
    spec = house_spec(HOUSE_MODEL)
    assert spec is not None
    able = Engines((spec,), EngineSettings(), home=Path("unused")).capabilities(HOUSE_MODEL)
    assert able.parameters == 4_656_384


@pytest.mark.parametrize(("second", "parameters"), [("llamacpp", 4_656_384), ("scripted", None)])
def test_a_model_with_several_engines_has_the_parameters_of_the_smallest(
    second: Literal["llamacpp", "scripted"], parameters: int | None
) -> None:
    path = str(house_path())
    choices = (ChoiceSpec(engine="llamacpp", path=path, name="a"), ChoiceSpec(engine=second, path=path, name="b"))
    engines = Engines((ModelSpec(id="a.b", engines=choices),), EngineSettings(), home=Path("unused"))
    assert engines.capabilities("a.b").parameters == parameters
