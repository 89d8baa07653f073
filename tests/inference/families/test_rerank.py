"""Amazon's and Cohere's reranking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from outcrop.engines.engine import ContextOverflow
from tests.inference.bench import Bench
from tests.inference.families.calls import embeds, invoke, malformed, not_computed

DOCUMENTS = ["a", "b", "c", "d"]


@pytest.fixture
def amazon(tmp_path: Path) -> Bench:
    bench = embeds(tmp_path, "amazon-rerank")
    bench.engine.scores = [0.1, 0.9, 0.5, 0.9]
    return bench


@pytest.fixture
def cohere(tmp_path: Path) -> Bench:
    bench = embeds(tmp_path, "cohere-rerank")
    bench.engine.scores = [0.1, 0.9, 0.5, 0.9]
    return bench


def ranked(answer: Any) -> list[tuple[int, float]]:
    assert list(answer) == ["results"]
    return [(result["index"], result["relevance_score"]) for result in answer["results"]]


def test_the_best_first_and_equals_in_order(amazon: Bench) -> None:
    answer = invoke(amazon, query="q", documents=DOCUMENTS)
    assert ranked(answer) == [(1, 0.9), (3, 0.9), (2, 0.5), (0, 0.1)]
    assert amazon.ctx.response_headers["x-amzn-bedrock-input-token-count"] == "5"


def test_top_n(amazon: Bench, cohere: Bench) -> None:
    assert ranked(invoke(amazon, query="q", documents=DOCUMENTS, top_n=1)) == [(1, 0.9)]
    assert len(ranked(invoke(amazon, query="q", documents=DOCUMENTS, top_n=100))) == 4
    assert ranked(invoke(cohere, query="q", documents=DOCUMENTS, top_n=2, api_version=2)) == [(1, 0.9), (3, 0.9)]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"query": ""}, "#/query: expected minLength: 1, actual: 0"),
        ({"query": None}, "#: required key [query] not found"),
        ({"documents": []}, "#/documents: expected minimum item count: 1, found: 0"),
        ({"documents": [{"text": "a"}]}, "#/documents/0: expected type: String, found: JSONObject"),
        ({"documents": ["a"] * 1001}, "#/documents: expected maximum item count: 1000, found: 1001"),
        ({"top_n": 0}, "#/top_n: 0 is not greater or equal to 1"),
        ({"api_version": None}, "#: required key [api_version] not found"),
        ({"api_version": 0}, "#/api_version: 0 is not greater or equal to 1"),
        ({"api_version": "2"}, "#/api_version: expected type: Integer, found: String"),
    ],
)
def test_refusals(cohere: Bench, changes: dict[str, Any], problem: str) -> None:
    body = {"query": "q", "documents": DOCUMENTS, "api_version": 2, **changes}
    assert not_computed(cohere, **body) == malformed(problem)


def test_amazon_has_no_version(amazon: Bench) -> None:
    told = not_computed(amazon, query="q", documents=DOCUMENTS, api_version=2)
    assert told == malformed("#: extraneous key [api_version] is not permitted")


def test_too_long(amazon: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def rerank(query: str, documents: Any) -> Any:
        raise ContextOverflow(600, 512)

    monkeypatch.setattr(amazon.engine, "rerank", rerank)
    assert not_computed(amazon, query="q", documents=["a"]) == "Input is too long for requested model."
