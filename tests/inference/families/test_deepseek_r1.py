"""DeepSeek-R1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from outcrop.engines.engine import CompletionRequest, FinishReason, Sampling
from tests.inference.bench import Bench
from tests.inference.families.calls import bench_of, completed, invoke, malformed, refused, stream, told

PROMPT = "<｜begin▁of▁sentence｜><｜User｜>Hi<｜Assistant｜><think>\n"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return bench_of(tmp_path, "deepseek-r1")


def test_the_prompt_is_handed_on_as_it_is(bench: Bench) -> None:
    invoke(bench, prompt=PROMPT)
    assert completed(bench) == CompletionRequest(PROMPT, None, Sampling(4096))


def test_parameters(bench: Bench) -> None:
    invoke(bench, prompt="a", max_tokens=9, temperature=0.6, top_p=0.95, stop=["x"])
    assert completed(bench).sampling == Sampling(9, 0.6, 0.95, stop=("x",))


def test_whole_and_streamed(bench: Bench) -> None:
    bench.engine.deltas = told("hm</think>", "Hi")
    assert invoke(bench, prompt="a") == {"choices": [{"text": "hm</think>Hi", "stop_reason": "stop"}]}
    assert stream(bench, prompt="a") == [
        {"choices": [{"text": "hm</think>", "stop_reason": None}]},
        {"choices": [{"text": "Hi", "stop_reason": None}]},
        {"choices": [{"text": "", "stop_reason": "stop"}]},
    ]


@pytest.mark.parametrize(("reason", "word"), [("stop_sequence", "stop"), ("length", "length"), ("context", "length")])
def test_stop_reasons(bench: Bench, reason: FinishReason, word: str) -> None:
    bench.engine.deltas = told("a", reason=reason)
    assert invoke(bench, prompt="a")["choices"][0]["stop_reason"] == word
    assert stream(bench, prompt="a")[-1]["choices"][0]["stop_reason"] == word


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"max_tokens": 1}, "#: required key [prompt] not found"),
        ({"prompt": "a", "temperature": 1.1}, "#/temperature: 1.1 is not less or equal to 1"),
        ({"prompt": "a", "max_tokens": 40000}, "#/max_tokens: 40000 is not less or equal to 4096"),
        ({"prompt": "a", "stop": [""]}, "#/stop/0: expected minLength: 1, actual: 0"),
        ({"prompt": "a", "top_k": 1}, "#: extraneous key [top_k] is not permitted"),
    ],
)
def test_refusals(bench: Bench, body: dict[str, Any], problem: str) -> None:
    assert refused(bench, **body) == malformed(problem)
