"""Amazon Titan's embeddings."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from outcrop.engines.engine import EngineFailed
from outcrop.errors import ModelErrorException
from tests.inference.bench import Bench
from tests.inference.families.calls import embeds, invoke, malformed, not_computed

VECTOR = [3.0, 4.0, 0.0, -12.0]  # of the length 13
UNIT = [3 / 13, 4 / 13, 0.0, -12 / 13]


@pytest.fixture
def v2(tmp_path: Path) -> Bench:
    return embeds(tmp_path, "titan-embed-v2")


def test_v1(tmp_path: Path) -> None:
    bench = embeds(tmp_path, "titan-embed-v1")
    assert invoke(bench, inputText="one two") == {"embedding": VECTOR, "inputTextTokenCount": 2}
    assert bench.engine.embedded == [["one two"]]
    assert bench.ctx.response_headers["x-amzn-bedrock-input-token-count"] == "2"
    assert bench.ctx.response_headers["x-amzn-bedrock-output-token-count"] == "0"


def test_v1_has_nothing_to_choose(tmp_path: Path) -> None:
    bench = embeds(tmp_path, "titan-embed-v1")
    told = not_computed(bench, inputText="a", dimensions=4)
    assert told == malformed("#: extraneous key [dimensions] is not permitted")


def test_v2_is_normalised(v2: Bench) -> None:
    answer = invoke(v2, inputText="one two")
    assert answer == {
        "embedding": pytest.approx(UNIT),
        "embeddingsByType": {"float": answer["embedding"]},
        "inputTextTokenCount": 2,
    }
    assert invoke(v2, inputText="a", normalize=False)["embedding"] == VECTOR


def test_a_vector_without_length_stays_as_it_is(v2: Bench) -> None:
    v2.engine.vector = [0.0, 0.0]
    assert invoke(v2, inputText="a")["embedding"] == [0, 0]


def test_fewer_dimensions_are_cut_and_scaled(v2: Bench) -> None:
    assert invoke(v2, inputText="a", dimensions=2)["embedding"] == pytest.approx([0.6, 0.8])
    assert invoke(v2, inputText="a", dimensions=2, normalize=False)["embedding"] == [3, 4]
    assert invoke(v2, inputText="a", dimensions=4)["embedding"] == pytest.approx(UNIT)


def test_more_dimensions_are_refused(v2: Bench) -> None:
    assert not_computed(v2, inputText="a", dimensions=1024) == (
        "dimensions: This model's vectors have 4 dimensions. Ask for 4 or fewer and try again."
    )


def test_types(v2: Bench) -> None:
    both = invoke(v2, inputText="a", embeddingTypes=["binary", "float"])
    assert both["embeddingsByType"] == {"binary": [1, 1, 0, 0], "float": both["embedding"]}
    binary = invoke(v2, inputText="a", embeddingTypes=["binary"])
    assert "embedding" not in binary
    assert binary["embeddingsByType"] == {"binary": [1, 1, 0, 0]}


def test_multimodal_of_text(tmp_path: Path) -> None:
    bench = embeds(tmp_path, "titan-embed-image")
    assert invoke(bench, inputText="one two") == {"embedding": VECTOR, "inputTextTokenCount": 2, "message": None}
    cut = invoke(bench, inputText="a", embeddingConfig={"outputEmbeddingLength": 2})["embedding"]
    assert math.hypot(*cut) == pytest.approx(1)
    assert len(cut) == 2


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, malformed("#: required key [inputText] not found")),
        ({"inputText": ""}, malformed("#/inputText: expected minLength: 1, actual: 0")),
        ({"inputImage": "aGk="}, "This model doesn't support images."),
        ({"inputText": "a", "inputImage": "aGk="}, "This model doesn't support images."),
        ({"inputImage": None}, "This model doesn't support images."),
        ({"inputText": "a", "embeddingConfig": {"outputEmbeddingLength": 384}},
         "embeddingConfig.outputEmbeddingLength: This model's vectors have 4 dimensions. Ask for 4 or fewer and try "
         "again."),
        ({"inputText": "a", "embeddingConfig": {"x": 1}},
         malformed("#/embeddingConfig: extraneous key [x] is not permitted")),
    ],
)  # fmt: skip
def test_multimodal_refusals(tmp_path: Path, body: dict[str, Any], problem: str) -> None:
    assert not_computed(embeds(tmp_path, "titan-embed-image"), **body) == problem


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"inputText": ""}, "#/inputText: expected minLength: 1, actual: 0"),
        ({"inputText": "x" * 50_001}, "#/inputText: expected maxLength: 50000, actual: 50001"),
        ({"inputText": ["a"]}, "#/inputText: expected type: String, found: JSONArray"),
        ({"inputText": "a", "dimensions": 0}, "#/dimensions: 0 is not greater or equal to 1"),
        ({"inputText": "a", "embeddingTypes": ["int8"]}, "#/embeddingTypes/0: int8 is not a valid enum value"),
        ({"inputText": "a", "embeddingTypes": []}, "#/embeddingTypes: expected minimum item count: 1, found: 0"),
        ({"inputText": "a", "normalize": "yes"}, "#/normalize: expected type: Boolean, found: String"),
    ],
)
def test_refusals(v2: Bench, body: dict[str, Any], problem: str) -> None:
    assert not_computed(v2, **body) == malformed(problem)
    assert not v2.engine.embedded


@pytest.mark.parametrize("family", ["titan-embed-v1", "titan-embed-v2", "titan-embed-image"])
def test_too_many_tokens(tmp_path: Path, family: Any) -> None:
    bench = embeds(tmp_path, family, context_tokens=8)
    assert not_computed(bench, inputText="word " * 9) == (
        "400 Bad Request: Too many input tokens. Max input tokens: 8, request input token count: 9 "
    )
    assert invoke(bench, inputText="word " * 8)["inputTextTokenCount"] == 8


def test_an_engine_that_fails(v2: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(texts: Any) -> Any:
        raise EngineFailed("broken", 502)

    monkeypatch.setattr(v2.engine, "embed", broken)
    with pytest.raises(ModelErrorException) as problem:
        invoke(v2, inputText="a")
    assert problem.value.members["originalStatusCode"] == 502
