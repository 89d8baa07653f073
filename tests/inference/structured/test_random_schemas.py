"""Random schemas, seeds and temperatures: a whole answer fits, and a cut one says that it was cut."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from outcrop.engines.engine import CompletionRequest, InvalidRequest
from outcrop.inference.structured_output import check_schema
from tests.inference.structured.house import PROMPTS, House, finish_of, text_of, wild
from tests.inference.structured.judging import fits
from tests.inference.structured.schemas import asking, schemas

seeds = st.integers(0, 2**31 - 1)
temperatures = st.sampled_from([0.0, 0.7, 1.0, 2.0, 5.0])


def test_a_whole_answer_fits_its_schema(house: House) -> None:
    seen = Counter[str]()

    @given(schemas(), seeds, temperatures, st.sampled_from(PROMPTS))
    @asking(150)
    def holds(schema: Any, seed: int, temperature: float, prompt: str) -> None:
        check_schema(schema, "schema")
        try:
            deltas = house.answer(schema, seed=seed, tokens=120, prompt=prompt, temperature=temperature)
        except InvalidRequest:
            seen["refused"] += 1
            return
        finish = finish_of(deltas)
        seen[finish.reason] += 1
        if finish.reason == "stop":
            assert fits(text_of(deltas), schema), (schema, text_of(deltas))
        else:
            assert finish.reason == "length"
            assert finish.usage.output_tokens == 120

    holds()
    assert seen["stop"] > max(seen["refused"], seen["length"]), seen


def test_a_raw_completion_fits_too(house: House) -> None:
    seen = Counter[str]()

    @given(schemas(), seeds)
    @asking(40)
    def holds(schema: Any, seed: int) -> None:
        request = CompletionRequest("Once upon a time", schema, wild(seed, 150, 2.0))
        try:
            deltas = house.deltas(request)
        except InvalidRequest:
            seen["refused"] += 1
            return
        seen[finish_of(deltas).reason] += 1
        if finish_of(deltas).reason == "stop":
            assert fits(text_of(deltas), schema), (schema, text_of(deltas))

    holds()
    assert seen["stop"] > seen["refused"], seen


def test_every_cut_says_that_it_is_one(house: House) -> None:
    schema = {"type": "array", "items": {"enum": ["one", "two", "three"]}, "minItems": 1}
    whole = house.answer(schema, seed=3)
    assert finish_of(whole).reason == "stop"
    tokens = finish_of(whole).usage.output_tokens
    for most in range(1, tokens + 1):
        finish = finish_of(house.answer(schema, seed=3, tokens=most))
        # The end of the answer takes a token of its own.
        assert finish.reason == ("stop" if most == tokens else "length"), (most, tokens)
