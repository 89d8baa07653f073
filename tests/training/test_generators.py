"""Generated examples: the same for the same seed, never shared by training and measuring, and right by their own check."""

from __future__ import annotations

from random import Random

import pytest

from outcrop.training.generators import CLOSED, FAMILIES, held_out_examples, is_held_out, prompt_key, training_example
from outcrop.training.generators.example import Example, is_right


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_seed_makes_the_same_examples(family: str) -> None:
    make, _ = FAMILIES[family]
    first, second = Random(3), Random(3)
    assert [make(first) for _ in range(30)] == [make(second) for _ in range(30)]
    assert held_out_examples(family, 5) == held_out_examples(family, 5)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_reference_answer_is_right_and_another_is_wrong(family: str) -> None:
    for example in held_out_examples(family, 3):
        assert example.messages[-1]["role"] == "assistant"
        assert is_right(example, example.messages[-1]), prompt_key(example)
        assert not is_right(example, {"content": "qqq"})
        assert not is_right(example, {"content": ""})


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - CLOSED))
def test_held_out_examples_are_different_and_held_out(family: str) -> None:
    examples = held_out_examples(family, 40)
    assert len({prompt_key(example) for example in examples}) == 40
    assert all(is_held_out(example) for example in examples)


def test_training_never_sees_a_held_out_prompt() -> None:
    held_out = {prompt_key(e) for family in set(FAMILIES) - CLOSED for e in held_out_examples(family, 40)}
    random = Random("disjoint")
    seen = 0
    for _ in range(3000):
        example = training_example(random)
        for prompt in prompts(example):
            assert prompt not in held_out
            seen += 1
    assert seen >= 3000


def prompts(example: Example) -> list[str]:
    """The example's own prompt, and those of the parts of a joined conversation."""
    starts = [i for i, message in enumerate(example.messages) if message["role"] == "user"]
    parts = [example.messages[start:] for start in starts] + [example.messages]
    return [prompt_key(Example(example.family, part, example.expected, example.check, example.tools)) for part in parts]


def test_all_families_are_in_the_stream() -> None:
    random = Random("families")
    assert {training_example(random).family for _ in range(600)} == set(FAMILIES)
