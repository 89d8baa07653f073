"""Cohere Command, before Command R."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from outcrop.engines.engine import FinishReason, Sampling
from outcrop.errors import ValidationException
from tests.inference.bench import Bench
from tests.inference.families.calls import bench_of, invoke, malformed, refused, stream, told


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return bench_of(tmp_path, "cohere-command")


def test_the_prompt_is_a_turn_of_the_user(bench: Bench) -> None:
    invoke(bench, prompt="Hi")
    assert [turn.role for turn in bench.asked.messages] == ["user"]
    assert bench.asked_texts == ["Hi"]


def test_defaults_and_parameters(bench: Bench) -> None:
    invoke(bench, prompt="Hi")
    assert bench.asked.sampling == Sampling(20, 0.9, 0.75)
    invoke(bench, prompt="Hi", max_tokens=9, temperature=5, p=0.5, k=3, stop_sequences=["x"], num_generations=1,
           return_likelihoods="NONE", truncate="NONE", logit_bias={})  # fmt: skip
    assert bench.asked.sampling == Sampling(9, 5, 0.5, 3, stop=("x",))


def test_whole(bench: Bench) -> None:
    bench.engine.deltas = told("Hel", "lo")
    answer = invoke(bench, prompt="Hi")
    (generation,) = answer["generations"]
    assert (generation["text"], generation["finish_reason"], answer["prompt"]) == ("Hello", "COMPLETE", "Hi")
    assert generation["id"] != answer["id"]


def test_streamed(bench: Bench) -> None:
    bench.engine.deltas = told("Hel", "lo")
    *texts, end = stream(bench, prompt="Hi", stream=True)
    assert [(chunk["event_type"], chunk["text"], chunk["is_finished"]) for chunk in texts] == [
        ("text-generation", "Hel", False), ("text-generation", "lo", False),
    ]  # fmt: skip
    assert (end["event_type"], end["is_finished"], end["finish_reason"]) == ("stream-end", True, "COMPLETE")
    assert end["response"]["generations"][0]["text"] == "Hello"


def test_stream_in_the_body_must_be_what_the_operation_does(bench: Bench) -> None:
    with pytest.raises(ValidationException, match=r"^The value of stream in the body"):
        invoke(bench, prompt="Hi", stream=True)
    assert invoke(bench, prompt="Hi", stream=False)


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("length", "MAX_TOKENS"),
        ("context", "ERROR_LIMIT"),
        ("stop_sequence", "COMPLETE"),
        ("content_filter", "ERROR_TOXIC"),
    ],
)
def test_finish_reasons(bench: Bench, reason: FinishReason, word: str) -> None:
    bench.engine.deltas = told("a", reason=reason)
    assert invoke(bench, prompt="a")["generations"][0]["finish_reason"] == word
    assert stream(bench, prompt="a")[-1]["finish_reason"] == word


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"p": 2}, malformed("#/p: 2 is not less or equal to 1")),
        ({"k": 501}, malformed("#/k: 501 is not less or equal to 500")),
        ({"truncate": "LEFT"}, malformed("#/truncate: LEFT is not a valid enum value")),
        ({"num_generations": 6}, malformed("#/num_generations: 6 is not less or equal to 5")),
        ({"message": "x"}, malformed("#: extraneous key [message] is not permitted")),
        ({"num_generations": 2}, "num_generations: This model makes one generation a request. Use 1 and try again."),
        ({"return_likelihoods": "ALL"},
         "return_likelihoods: This model doesn't support likelihoods. Use NONE and try again."),
        ({"logit_bias": {"1": 2}}, "logit_bias: This model doesn't support logit biases."),
        ({"truncate": "END"}, "truncate: This model doesn't cut prompts. Use NONE and try again."),
    ],
)  # fmt: skip
def test_refusals(bench: Bench, changes: dict[str, Any], problem: str) -> None:
    assert refused(bench, prompt="Hi", **changes) == problem
