"""Amazon Titan Text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from outcrop.engines.engine import FinishReason, Sampling, Text
from outcrop.inference.families.titan_text import turns_of
from tests.inference.bench import Bench
from tests.inference.families.calls import bench_of, invoke, malformed, refused, stream, told


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return bench_of(tmp_path, "titan-text")


def turns(text: str) -> list[tuple[str, Any]]:
    return [(turn.role, turn.parts[0].text) for turn in turns_of(text) if isinstance(turn.parts[0], Text)]


@pytest.mark.parametrize(
    "text",
    [
        "Write a story.",
        "A line that says\nUser: not at the start",
        "User: a question without its end",
        "Bot: hello\nUser: a\nBot:",
        "User: a\nUser: b\nBot:",
        "User:\nBot: b\nUser: c\nBot:",
        "  \n",
    ],
)
def test_text_that_is_one_turn(text: str) -> None:
    assert turns(text) == [("user", text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("User: Hi\nBot:", [("user", "Hi")]),
        ("\nUser: Hi \n there\nBot: ", [("user", "Hi \n there")]),
        ("User: a\nBot: b\nUser: c\nBot:", [("user", "a"), ("assistant", "b"), ("user", "c")]),
        ("User: a\nBot: Once upon", [("user", "a"), ("assistant", "Once upon")]),
    ],
)
def test_text_that_is_a_conversation(text: str, expected: list[tuple[str, str]]) -> None:
    assert turns(text) == expected


def test_defaults_and_parameters(bench: Bench) -> None:
    invoke(bench, inputText="User: Hi\nBot:")
    assert bench.asked_texts == ["Hi"]
    assert bench.asked.sampling == Sampling(512, 0.7, 0.9)
    config = {"maxTokenCount": 9, "temperature": 0, "topP": 0.5, "stopSequences": ["|"]}
    invoke(bench, inputText="a", textGenerationConfig=config)
    assert bench.asked.sampling == Sampling(9, 0, 0.5, stop=("|",))
    invoke(bench, inputText="a", textGenerationConfig={"temperature": None})
    assert bench.asked.sampling == Sampling(512, 0.7, 0.9)


def test_whole(bench: Bench) -> None:
    bench.engine.deltas = told("Hel", "lo")
    assert invoke(bench, inputText="a") == {
        "inputTextTokenCount": 11,
        "results": [{"tokenCount": 5, "outputText": "Hello", "completionReason": "FINISH"}],
    }


def test_streamed(bench: Bench) -> None:
    bench.engine.deltas = told("Hel", "lo")
    chunks = stream(bench, inputText="a")
    assert [tuple(chunk.values()) for chunk in chunks] == [
        (0, 10, None, "Hel", None), (0, None, None, "lo", None), (0, None, 5, "", "FINISH"),
    ]  # fmt: skip
    assert list(chunks[0]) == [
        "index", "inputTextTokenCount", "totalOutputTextTokenCount", "outputText", "completionReason",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("length", "LENGTH"),
        ("context", "LENGTH"),
        ("stop_sequence", "STOP_CRITERIA_MET"),
        ("content_filter", "CONTENT_FILTERED"),
    ],
)
def test_completion_reasons(bench: Bench, reason: FinishReason, word: str) -> None:
    bench.engine.deltas = told("a", reason=reason)
    assert invoke(bench, inputText="a")["results"][0]["completionReason"] == word
    assert stream(bench, inputText="a")[-1]["completionReason"] == word


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "#: required key [inputText] not found"),
        ({"inputText": ""}, "#/inputText: expected minLength: 1, actual: 0"),
        ({"inputText": "a", "temperature": 1}, "#: extraneous key [temperature] is not permitted"),
        ({"inputText": "a", "textGenerationConfig": []},
         "#/textGenerationConfig: expected type: JSONObject, found: JSONArray"),
        ({"inputText": "a", "textGenerationConfig": {"topP": 0}},
         "#/textGenerationConfig/topP: 0 is not greater than 0"),
        ({"inputText": "a", "textGenerationConfig": {"topP": 1.2}},
         "#/textGenerationConfig/topP: 1.2 is not less or equal to 1"),
        ({"inputText": "a", "textGenerationConfig": {"topK": 1}},
         "#/textGenerationConfig: extraneous key [topK] is not permitted"),
        ({"inputText": "a", "textGenerationConfig": {"maxTokenCount": 9000}},
         "#/textGenerationConfig/maxTokenCount: 9000 is not less or equal to 4096"),
    ],
)  # fmt: skip
def test_refusals(bench: Bench, body: dict[str, Any], problem: str) -> None:
    assert refused(bench, **body) == malformed(problem)
