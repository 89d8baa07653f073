"""Cohere Embed, v3 and v4."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from outcrop.engines.engine import ContextOverflow, Usage
from tests.inference.bench import Bench
from tests.inference.families.calls import embeds, invoke, malformed, not_computed

VECTOR = [3.0, 4.0, 0.0, -12.0]
LONG = " ".join(f"w{n}" for n in range(100))


@pytest.fixture
def v3(tmp_path: Path) -> Bench:
    return embeds(tmp_path, "cohere-embed", context_tokens=10)


@pytest.fixture
def v4(tmp_path: Path) -> Bench:
    return embeds(tmp_path, "cohere-embed-v4", context_tokens=10)


def ask(bench: Bench, *texts: str, **members: Any) -> Any:
    return invoke(bench, **{"texts": list(texts), "input_type": "search_document", **members})


def test_floats(v3: Bench) -> None:
    answer = ask(v3, "one two", "three")
    assert answer.pop("id")
    assert answer == {
        "embeddings": [VECTOR, VECTOR],
        "response_type": "embeddings_floats",
        "texts": ["one two", "three"],
    }
    assert v3.engine.embedded == [["one two", "three"]]
    assert v3.ctx.response_headers["x-amzn-bedrock-input-token-count"] == "3"


def test_no_texts(v3: Bench) -> None:
    assert ask(v3)["embeddings"] == []
    assert v3.engine.embedded == []


def test_v3_by_type_even_if_it_is_one(v3: Bench) -> None:
    answer = ask(v3, "a", embedding_types=["float"])
    assert answer["response_type"] == "embeddings_by_type"
    assert answer["embeddings"] == {"float": [VECTOR]}


def test_all_types(v3: Bench) -> None:
    v3.engine.vector = [1.0, -1.0, 2.0, 0.0, 1.0, 1.0, 1.0, -1.0, 1.0]
    types = ["float", "int8", "uint8", "binary", "ubinary"]
    by_type = ask(v3, "a", embedding_types=types)["embeddings"]
    assert list(by_type) == types
    # Of a unit vector in nine dimensions a third is one standard deviation, a quarter of the span.
    step = 1 / 11**0.5 * 3 * 127 / 4
    int8 = [round(step), -round(step), round(2 * step), 0, *[round(step)] * 3, -round(step), round(step)]
    assert by_type["int8"] == [int8]
    assert by_type["uint8"] == [[value + 128 for value in int8]]
    assert by_type["ubinary"] == [[0b10101110, 0b10000000]]
    assert by_type["binary"] == [[0b10101110 - 128, 0b10000000 - 128]]


def test_eight_bits_do_not_overflow(v3: Bench) -> None:
    v3.engine.vector = [-1.0] + [0.0] * 99
    by_type = ask(v3, "a", embedding_types=["int8", "uint8"])["embeddings"]
    assert (by_type["int8"][0][0], by_type["uint8"][0][0]) == (-128, 0)
    v3.engine.vector = [1.0] + [0.0] * 99
    by_type = ask(v3, "a", embedding_types=["int8", "uint8"])["embeddings"]
    assert (by_type["int8"][0][0], by_type["uint8"][0][0]) == (127, 255)


def test_v4_one_type_is_a_list_and_several_are_by_type(v4: Bench) -> None:
    assert ask(v4, "a")["embeddings"] == [VECTOR]
    one = ask(v4, "a", embedding_types=["ubinary"])
    assert (one["embeddings"], one["response_type"]) == ([[0b11000000]], "embeddings_by_type")
    several = ask(v4, "a", embedding_types=["ubinary", "float"])
    assert (several["embeddings"], several["response_type"]) == (
        {"ubinary": [[0b11000000]], "float": [VECTOR]},
        "embeddings_by_type",
    )


def test_v4_dimensions(v4: Bench) -> None:
    assert ask(v4, "a", output_dimension=2)["embeddings"] == [pytest.approx([0.6, 0.8])]
    assert ask(v4, "a", output_dimension=4)["embeddings"] == [VECTOR]
    told = not_computed(v4, texts=["a"], input_type="search_query", output_dimension=1536)
    assert told == "output_dimension: This model's vectors have 4 dimensions. Ask for 4 or fewer and try again."


def test_v4_inputs(v4: Bench) -> None:
    inputs = [{"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]
    assert invoke(v4, inputs=inputs, input_type="search_document")["texts"] == ["a\nb"]
    assert v4.engine.embedded == [["a\nb"]]


def test_too_long_a_text_is_refused(v3: Bench) -> None:
    told = not_computed(v3, texts=[LONG], input_type="search_query")
    assert told == "Input is too long for requested model."
    assert not_computed(v3, texts=[LONG], input_type="search_query", truncate="NONE") == told


@pytest.mark.parametrize(
    ("family", "start", "end"), [("cohere-embed", "START", "END"), ("cohere-embed-v4", "LEFT", "RIGHT")]
)
def test_too_long_a_text_is_cut(tmp_path: Path, family: Any, start: str, end: str) -> None:
    bench = embeds(tmp_path, family, context_tokens=10)
    answer = ask(bench, LONG, "short", truncate=end)
    assert len(answer["embeddings"]) == 2
    assert answer["texts"] == [LONG, "short"]
    kept = bench.engine.embedded[-2][0]
    assert LONG.startswith(kept)
    assert 8 <= len(kept.split()) <= 10
    assert bench.engine.embedded[-1] == ["short"]
    ask(bench, LONG, truncate=start)
    kept = bench.engine.embedded[-1][0]
    assert LONG.endswith(kept)
    assert 8 <= len(kept.split()) <= 10


def test_an_engine_that_does_not_say_by_how_much(v3: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def embed(texts: Any) -> Any:
        asked.append(texts[0])
        if len(texts[0]) > 10:
            raise ContextOverflow(None, None)
        return [VECTOR], Usage(1, 0)

    monkeypatch.setattr(v3.engine, "embed", embed)
    assert ask(v3, "x" * 100, truncate="END")["embeddings"] == [VECTOR]
    assert len(asked[-1]) == 6


def test_an_engine_that_takes_nothing(v3: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def embed(texts: Any) -> Any:
        raise ContextOverflow(9, 1)

    monkeypatch.setattr(v3.engine, "embed", embed)
    told = not_computed(v3, texts=["abc"], input_type="search_query", truncate="END")
    assert told == "Input is too long for requested model."


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"input_type": None}, malformed("#: required key [input_type] not found")),
        ({"input_type": "x"}, malformed("#/input_type: x is not a valid enum value")),
        ({"texts": ["a"] * 97}, malformed("#/texts: expected maximum item count: 96, found: 97")),
        ({"texts": ["x" * 2049]}, malformed("#/texts/0: expected maxLength: 2048, actual: 2049")),
        ({"texts": [1]}, malformed("#/texts/0: expected type: String, found: Integer")),
        ({"truncate": "LEFT"}, malformed("#/truncate: LEFT is not a valid enum value")),
        ({"embedding_types": ["base64"]}, malformed("#/embedding_types/0: base64 is not a valid enum value")),
        ({"output_dimension": 256}, malformed("#: extraneous key [output_dimension] is not permitted")),
        ({"texts": None}, "Give exactly one of texts, images."),
        ({"images": ["data:image/png;base64,aGk="]}, "Give exactly one of texts, images."),
        ({"texts": None, "images": ["data:image/png;base64,aGk="], "input_type": "image"},
         "This model doesn't support images."),
    ],
)  # fmt: skip
def test_v3_refusals(v3: Bench, changes: dict[str, Any], problem: str) -> None:
    assert not_computed(v3, **{"texts": ["a"], "input_type": "search_query", **changes}) == problem


IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"truncate": "END"}, malformed("#/truncate: END is not a valid enum value")),
        ({"input_type": "image"}, malformed("#/input_type: image is not a valid enum value")),
        ({"max_tokens": 5}, "max_tokens: This model takes up to 10 tokens of a text, not fewer."),
        ({"texts": None}, "Give exactly one of texts, images, inputs."),
        ({"inputs": [{"content": [IMAGE]}]}, "Give exactly one of texts, images, inputs."),
        ({"texts": None, "inputs": [{"content": [IMAGE]}]}, "This model doesn't support images."),
        ({"texts": None, "images": ["x"]}, "This model doesn't support images."),
        ({"texts": None, "inputs": [{"content": []}]},
         malformed("#/inputs/0/content: expected minimum item count: 1, found: 0")),
        ({"texts": None, "inputs": [{}]}, malformed("#/inputs/0: required key [content] not found")),
        ({"texts": None, "inputs": [{"content": [{"type": "video"}]}]},
         "inputs.0.content.0: Give a part of the type 'text', with its text."),
    ],
)  # fmt: skip
def test_v4_refusals(v4: Bench, changes: dict[str, Any], problem: str) -> None:
    assert not_computed(v4, **{"texts": ["a"], "input_type": "search_query", **changes}) == problem


def test_v4_takes_a_limit_that_is_no_limit(v4: Bench) -> None:
    assert ask(v4, "a", max_tokens=128_000)["embeddings"]
