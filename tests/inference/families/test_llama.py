"""Meta Llama."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from outcrop.engines.engine import CompletionRequest, FinishReason, Sampling
from tests.inference.bench import Bench
from tests.inference.families.calls import bench_of, completed, invoke, malformed, refused, stream, told

PROMPT = "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return bench_of(tmp_path, "llama")


def test_the_prompt_is_handed_on_as_it_is(bench: Bench) -> None:
    invoke(bench, prompt=PROMPT)
    assert completed(bench) == CompletionRequest(PROMPT, None, Sampling(512, 0.5, 0.9))


def test_parameters(bench: Bench) -> None:
    invoke(bench, prompt="a", max_gen_len=7, temperature=0, top_p=1)
    assert completed(bench).sampling == Sampling(7, 0, 1)


def test_the_default_is_no_longer_than_the_model_may_be(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, "llama", max_output_tokens=100)
    invoke(bench, prompt="a")
    assert completed(bench).sampling.max_tokens == 100


def test_whole(bench: Bench) -> None:
    bench.engine.deltas = told("Hel", "lo")
    assert invoke(bench, prompt="a") == {
        "generation": "Hello", "prompt_token_count": 11, "generation_token_count": 5, "stop_reason": "stop",
    }  # fmt: skip


def test_streamed(bench: Bench) -> None:
    """`prompt_token_count` in the first chunk, the reason and the engine's count in the last."""
    bench.engine.deltas = told("Hel", "lo")
    chunks = stream(bench, prompt="one two three")
    assert [tuple(chunk.values()) for chunk in chunks] == [
        ("Hel", 3, 1, None), ("lo", None, 2, None), ("", None, 5, "stop"),
    ]  # fmt: skip
    assert list(chunks[0]) == ["generation", "prompt_token_count", "generation_token_count", "stop_reason"]


def test_an_empty_stream_counts_its_prompt(bench: Bench) -> None:
    bench.engine.deltas = told()
    assert [tuple(chunk.values()) for chunk in stream(bench, prompt="one two")] == [("", 2, 5, "stop")]


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("stop", "stop"),
        ("stop_sequence", "stop"),
        ("length", "length"),
        ("context", "length"),
        ("content_filter", "content_filter"),
    ],
)
def test_stop_reasons(bench: Bench, reason: FinishReason, word: str) -> None:
    bench.engine.deltas = told("a", reason=reason)
    assert invoke(bench, prompt="a")["stop_reason"] == word
    assert stream(bench, prompt="a")[-1]["stop_reason"] == word


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "#: required key [prompt] not found"),
        ({"prompt": 1}, "#/prompt: expected type: String, found: Integer"),
        ({"prompt": ""}, "#/prompt: expected minLength: 1, actual: 0"),
        ({"prompt": "a", "max_gen_len": 5000}, "#/max_gen_len: 5000 is not less or equal to 4096"),
        ({"prompt": "a", "max_gen_len": 0}, "#/max_gen_len: 0 is not greater or equal to 1"),
        ({"prompt": "a", "max_gen_len": 1.5}, "#/max_gen_len: expected type: Integer, found: BigDecimal"),
        ({"prompt": "a", "temperature": 1.5}, "#/temperature: 1.5 is not less or equal to 1"),
        ({"prompt": "a", "top_p": "x"}, "#/top_p: expected type: Number, found: String"),
        ({"prompt": "a", "top_k": 5}, "#: extraneous key [top_k] is not permitted"),
        ({"prompt": "a", "stop": ["x"]}, "#: extraneous key [stop] is not permitted"),
        ({"prompt": "a", "temperature": True}, "#/temperature: expected type: Number, found: Boolean"),
    ],
)
def test_refusals(bench: Bench, body: dict[str, Any], problem: str) -> None:
    assert refused(bench, **body) == malformed(problem)


def test_images_are_not_left_out_silently(bench: Bench) -> None:
    assert refused(bench, prompt="a", images=["aGk="]) == (
        "This model doesn't support images in a prompt. Send images with Converse."
    )
    assert invoke(bench, prompt="a", images=[])
