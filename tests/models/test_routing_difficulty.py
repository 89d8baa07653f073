"""A prompt's predicted difficulty."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outcrop.models.difficulty import BIAS, LONGEST_END, WEIGHTS, Outline, difficulty, features

OUTLINES = st.builds(
    Outline,
    text=st.text(max_size=400),
    characters=st.integers(0, 10**7),
    turns=st.integers(0, 50),
    tools=st.integers(0, 300),
    images=st.integers(0, 20),
)
# Each is meant to be harder than the one before.
LADDER = (
    "Hello!",
    "What is the capital of Peru?",
    "Why does ice float on water?",
    "A shop sells pens at 3 for 2 euros and pads at 4 euros each. Ana buys 12 pens and 2 pads. What is the total?",
    "Prove that the square root of 3 is not a fraction of two integers, and explain each step of your proof.",
    "Write a Python function `merge(a, b)` that merges two sorted lists without recursion.\n\n1. Explain its runtime.\n"
    "2. Compare it with:\n```python\nsorted(a + b)\n```\n3. Prove that it keeps equal items in order.\n4. Add a unittest.",
)


def of(text: str) -> float:
    return difficulty(Outline(text=text, characters=len(text)))


def test_harder_prompts_look_harder() -> None:
    found = [of(text) for text in LADDER]
    assert found == sorted(found)
    assert len(set(found)) == len(found)
    assert found[0] < 0.1
    assert found[-1] > 0.8


@given(OUTLINES)
def test_every_feature_is_a_share(outline: Outline) -> None:
    found = features(outline)
    assert found.keys() == WEIGHTS.keys()
    assert all(0 <= value <= 1 for value in found.values())
    assert 0 < difficulty(outline) < 1


@given(OUTLINES, st.sampled_from(["characters", "turns", "tools", "images"]), st.integers(1, 1000))
def test_more_of_anything_is_never_easier(outline: Outline, what: str, more: int) -> None:
    changes: dict[str, Any] = {what: getattr(outline, what) + more}
    assert difficulty(replace(outline, **changes)) >= difficulty(outline)


@pytest.mark.parametrize(
    ("feature", "text"),
    [
        ("requests", "\n- first\n* second"), ("requests", "Who? When?"), ("reasoning", "Justify and evaluate."),
        ("mathematics", "12 = 3 × 4"), ("mathematics", "\\frac{1}{2}"), ("mathematics", "the probability"),
        ("mathematics", "half of two dozen"), ("code", "x = f()\nreturn x;"), ("code", "a SQL query"),
        ("vocabulary", "electromagnetism"), ("language", "Почему лёд плавает"),
        ("language", "Wie hoch ist der Turm in Paris und wann wurde er gebaut"), ("length", "word " * 30),
    ],
)  # fmt: skip
def test_what_each_feature_sees(feature: str, text: str) -> None:
    assert features(Outline(text=text))[feature] > 0
    assert features(Outline(text="Please tell me about the sea."))[feature] == 0


def test_english_prose_and_code_are_no_foreign_language() -> None:
    for text in LADDER:
        assert features(Outline(text=text))["language"] < 0.5, text


def test_what_is_asked_at_either_end_of_a_long_text_is_seen() -> None:
    padding = "The sea is blue. " * 10_000
    plain = of(padding)
    for text in ("Prove and justify why. " + padding, padding + " Prove and justify why."):
        assert of(text) > plain + 0.1


@pytest.mark.parametrize("piece", [" ", "\n", "\t\n", "1,", "- ", "; ", "<a", "aé", "日本", "\\frac", "*\n", "`"])
def test_no_text_takes_long(piece: str) -> None:
    outline = Outline(text=piece * (4 * LONGEST_END) + "x")
    # Thirty times what it takes; a pattern that backtracks takes hundreds of times.
    assert min(_seconds(outline) for _ in range(3)) < 0.01


def _seconds(outline: Outline) -> float:
    begun = time.perf_counter()
    difficulty(outline)
    return time.perf_counter() - begun


def test_the_page_states_the_weights() -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "routers.md").read_text("utf-8")
    stated = {name: float(weight) for name, weight in re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", page, re.MULTILINE)}
    assert stated == WEIGHTS
    assert f"−{-BIAS}" in page
