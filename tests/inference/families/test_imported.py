"""Imported models: three forms, told apart by their keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from outcrop.engines.engine import CompletionRequest, FinishReason, Sampling, Text
from tests.inference.bench import ACCOUNT, MODEL, Bench
from tests.inference.families.calls import bench_of, completed, invoke, malformed, refused, stream, told

HI = [{"role": "user", "content": "Hi"}]
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": False}
NAMED = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return bench_of(tmp_path, "imported")


@pytest.mark.parametrize("limit", [{}, {"max_gen_len": 512}])
def test_bedrock_completion(bench: Bench, limit: dict[str, Any]) -> None:
    bench.engine.deltas = told("Hel", "lo")
    assert invoke(bench, prompt="a", **limit) == {
        "generation": "Hello", "prompt_token_count": 11, "generation_token_count": 5, "stop_reason": "stop",
    }  # fmt: skip
    assert completed(bench) == CompletionRequest("a", None, Sampling(512, 0.5, 0.9))
    assert [chunk["generation"] for chunk in stream(bench, prompt="a", **limit)] == ["Hel", "lo", ""]


def test_parameters_of_bedrock_completion(bench: Bench) -> None:
    invoke(bench, prompt="a", temperature=0, top_p=1, top_k=5, seed=7, stop="x", return_logprobs=False)
    assert completed(bench).sampling == Sampling(512, 0, 1, 5, 7, ("x",))


def test_openai_completion(bench: Bench) -> None:
    bench.engine.deltas = told("Hel", "lo")
    answer = invoke(bench, prompt="a", max_tokens=9)
    assert answer.pop("id").startswith("cmpl-")
    assert answer.pop("created") > 1_700_000_000
    usage = answer.pop("usage")
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (11, 5, 16)
    assert answer == {
        "object": "text_completion",
        "model": f"{ACCOUNT}-{MODEL}",
        "choices": [{"index": 0, "text": "Hello", "logprobs": None, "finish_reason": "stop"}],
    }
    assert completed(bench) == CompletionRequest("a", None, Sampling(9))


def test_openai_completion_streamed(bench: Bench) -> None:
    bench.engine.deltas = told("Hel", "lo")
    chunks = stream(bench, prompt="a", max_tokens=9, stream=True)
    assert [(c["choices"][0]["text"], c["choices"][0]["finish_reason"]) for c in chunks] == [
        ("Hel", None), ("lo", None), ("", "stop"),
    ]  # fmt: skip
    assert len({chunk["id"] for chunk in chunks}) == 1
    counted = stream(bench, prompt="a", max_tokens=9, stream_options={"include_usage": True})
    assert (counted[-1]["choices"], counted[-1]["usage"]["completion_tokens"]) == ([], 5)


def test_parameters_of_openai_completion(bench: Bench) -> None:
    invoke(bench, prompt="a", max_tokens=9, temperature=0, top_p=1, top_k=5, seed=7, stop=["x", "y"],
           frequency_penalty=1, presence_penalty=-1, n=1, best_of=1, echo=False, user="me")  # fmt: skip
    assert completed(bench).sampling == Sampling(9, 0, 1, 5, 7, ("x", "y"), 1, -1)


def test_openai_chat(bench: Bench) -> None:
    bench.engine.deltas = told("Hel", "lo")
    answer = invoke(bench, messages=HI)
    assert answer["id"].startswith("chatcmpl-")
    assert (answer["object"], answer["model"]) == ("chat.completion", f"{ACCOUNT}-{MODEL}")
    assert answer["choices"][0]["message"]["content"] == "Hello"
    assert bench.asked.messages[0].parts == (Text("Hi"),)
    chunks = stream(bench, messages=HI)
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == "Hello"
    assert {chunk["model"] for chunk in chunks} == {f"{ACCOUNT}-{MODEL}"}


@pytest.mark.parametrize(
    ("body", "schema"),
    [
        ({"prompt": "a", "response_format": {"type": "json_schema", "json_schema": SCHEMA}}, SCHEMA),
        ({"prompt": "a", "response_format": NAMED}, SCHEMA),
        ({"prompt": "a", "response_format": {"type": "text"}}, None),
        ({"prompt": "a", "max_tokens": 9, "response_format": NAMED}, SCHEMA),
        ({"prompt": "a", "max_tokens": 9, "response_format": {"type": "json_object"}}, {"type": "object"}),
        ({"prompt": "a", "max_tokens": 9, "structured_outputs": {"json": SCHEMA}}, SCHEMA),
        ({"messages": HI, "structured_outputs": {"json": SCHEMA}}, SCHEMA),
        ({"messages": HI, "response_format": NAMED}, SCHEMA),
    ],
)
def test_schemas(bench: Bench, body: dict[str, Any], schema: Any) -> None:
    invoke(bench, **body)
    asked = bench.asked if "messages" in body else completed(bench)
    assert asked.json_schema == schema


@pytest.mark.parametrize(("reason", "word"), [("stop_sequence", "stop"), ("length", "length"), ("context", "length")])
def test_stop_reasons(bench: Bench, reason: FinishReason, word: str) -> None:
    bench.engine.deltas = told("a", reason=reason)
    assert invoke(bench, prompt="a")["stop_reason"] == word
    assert invoke(bench, prompt="a", max_tokens=9)["choices"][0]["finish_reason"] == word
    assert invoke(bench, messages=HI)["choices"][0]["finish_reason"] == word


LIMITED = {"prompt": "a", "max_tokens": 9}


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"max_gen_len": 1}, malformed("#: required key [prompt] not found")),
        ({"prompt": "a", "max_gen_len": 5000}, malformed("#/max_gen_len: 5000 is not less or equal to 4096")),
        ({**LIMITED, "max_gen_len": 1}, malformed("#: extraneous key [max_gen_len] is not permitted")),
        ({"prompt": ["a"], "max_tokens": 1}, malformed("#/prompt: expected type: String, found: JSONArray")),
        ({"prompt": "a", "stop": [1]}, malformed("#/stop/0: expected type: String, found: Integer")),
        ({"prompt": "a", "return_logprobs": True}, "return_logprobs: This model doesn't support log probabilities."),
        ({**LIMITED, "logprobs": 1}, "logprobs: This model doesn't support log probabilities."),
        ({**LIMITED, "prompt_logprobs": 1}, "logprobs: This model doesn't support log probabilities."),
        ({"messages": HI, "logprobs": True}, "logprobs: This model doesn't support log probabilities."),
        ({**LIMITED, "n": 2}, "n: This model gives one choice a request. Use 1 and try again."),
        ({**LIMITED, "best_of": 2}, "n: This model gives one choice a request. Use 1 and try again."),
        ({**LIMITED, "echo": True}, "echo: This model doesn't support the echo parameter."),
        ({**LIMITED, "suffix": "x"}, "suffix: This model doesn't support the suffix parameter."),
        ({**LIMITED, "structured_outputs": {"regex": "a+"}},
         "structured_outputs: This model supports 'json', a schema, and not 'regex'."),
        ({"messages": HI, "structured_outputs": {"choice": ["a"]}},
         "structured_outputs: This model supports 'json', a schema, and not 'choice'."),
        ({**LIMITED, "structured_outputs": {"json": SCHEMA}, "response_format": NAMED},
         "Give one of response_format and structured_outputs."),
        ({"prompt": "a", "response_format": {"type": "grammar"}},
         "response_format.type: Use 'text', 'json_object' or 'json_schema'."),
        ({"prompt": "a", "response_format": {"type": "json_schema"}},
         "The value at response_format.json_schema must be a JSON object."),
    ],
)  # fmt: skip
def test_refusals(bench: Bench, body: dict[str, Any], problem: str) -> None:
    assert refused(bench, **body) == problem


def test_schemas_that_the_model_cannot_keep_to(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, "imported", json_schema=False)
    for body in ({"prompt": "a"}, LIMITED, {"messages": HI}):
        assert refused(bench, **body, response_format=NAMED) == "This model doesn't support structured output."
