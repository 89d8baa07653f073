"""Which of a prompt router's two models answers.

A model of strength s answers a share s of hard prompts well and all easy ones; a prompt of difficulty d is taken for a
hard one with probability d. So a model's predicted quality is 1 - d(1 - s), and the model that is not the fallback
answers where its predicted quality is higher by the router's percentage at least.
"""

from __future__ import annotations

import math

from outcrop.models.difficulty import Outline, difficulty
from outcrop.models.model import Model

# What a model of N parameters is taken to be worth where nobody says: a line through the scores that Meta publishes of
# Llama 3.1 and 3.2 Instruct on MATH, which go from 0.31 (1B) to 0.74 (405B).
STRENGTH_OF_A_BILLION = 0.35
STRENGTH_OF_TEN_TIMES = 0.16
WEAKEST, STRONGEST = 0.02, 0.98

# English text; a rough count is enough to see that something cannot fit.
CHARACTERS_OF_A_TOKEN = 4


def prefers(other: Model, fallback: Model, outline: Outline, difference: float) -> bool:
    """Whether `other` is predicted to answer better by `difference` percent at least. Both can answer."""
    return 100 * gap(strength(other), strength(fallback), difficulty(outline)) >= difference


def quality(strength: float, difficulty: float) -> float:
    """Predicted, from 0 to 1."""
    return 1 - difficulty * (1 - strength)


def gap(other: float | None, fallback: float | None, difficulty: float) -> float:
    """The difference of their predicted qualities, from the strengths. Of a model that nothing is known of, none."""
    if other is None or fallback is None:
        return 0.0
    # Not the difference of two `quality`: rounding would make the gap of a harder prompt a smaller one now and then.
    return difficulty * (other - fallback)


def strength(model: Model) -> float | None:
    """As the settings say, else by the parameters in the file of weights; None if neither is known."""
    if model.quality is not None:
        return model.quality
    parameters = model.capabilities.parameters
    return None if parameters is None else estimated_strength(parameters)


def estimated_strength(parameters: int) -> float:
    estimate = STRENGTH_OF_A_BILLION + STRENGTH_OF_TEN_TIMES * math.log10(max(parameters, 1) / 1e9)
    return min(STRONGEST, max(WEAKEST, estimate))


def can_answer(model: Model, outline: Outline) -> bool:
    """Whether it has what the request needs, as far as can be seen without reading the request through."""
    able = model.capabilities
    fits = outline.characters / CHARACTERS_OF_A_TOKEN <= able.context_tokens
    allowed = outline.max_tokens is None or outline.max_tokens <= model.max_output_tokens
    return fits and allowed and all(getattr(able, need) for need in outline.needs)
