"""AI21 Jamba."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from outcrop.engines.engine import Finish, FinishReason, Sampling, Text, ToolCallDelta, ToolCallStart, Usage
from tests.inference.bench import Bench
from tests.inference.families.calls import bench_of, invoke, malformed, refused, stream, told

HI = [{"role": "user", "content": "Hi"}]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return bench_of(tmp_path, "jamba", max_output_tokens=5000)


def test_messages(bench: Bench) -> None:
    invoke(bench, messages=[{"role": "system", "content": "Be kind."}, *HI])
    assert [(turn.role, turn.parts) for turn in bench.asked.messages] == [
        ("system", (Text("Be kind."),)),
        ("user", (Text("Hi"),)),
    ]


def test_defaults_and_parameters(bench: Bench) -> None:
    invoke(bench, messages=HI)
    assert bench.asked.sampling == Sampling(4096, 1.0, 1.0)
    invoke(bench, messages=HI, max_tokens=9, temperature=0, top_p=0.5, stop=["x"], n=1, frequency_penalty=1,
           presence_penalty=-1)  # fmt: skip
    assert bench.asked.sampling == Sampling(9, 0, 0.5, stop=("x",), frequency_penalty=1, presence_penalty=-1)


def test_whole(bench: Bench) -> None:
    bench.engine.deltas = told("Hel", "lo")
    answer = invoke(bench, messages=HI)
    (choice,) = answer["choices"]
    assert (choice["index"], choice["finish_reason"]) == (0, "stop")
    assert (choice["message"]["role"], choice["message"]["content"]) == ("assistant", "Hello")
    usage = answer["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (11, 5, 16)
    assert answer["id"]


def test_streamed(bench: Bench) -> None:
    """The end has the usage; the metrics come in a chunk of their own after it."""
    bench.engine.deltas = told("Hel", "lo")
    first, *texts, end, after = stream(bench, messages=HI)
    assert first["choices"][0]["delta"]["role"] == "assistant"
    assert [chunk["choices"][0]["delta"] for chunk in texts] == [{"content": "Hel"}, {"content": "lo"}]
    assert [chunk["choices"][0]["finish_reason"] for chunk in (first, *texts, end)] == [None, None, None, "stop"]
    assert end["usage"]["completion_tokens"] == 5
    assert not any("usage" in chunk for chunk in (first, *texts))
    assert after == {}


def test_calls(bench: Bench) -> None:
    bench.engine.deltas = [ToolCallStart(0, "0", "f"), ToolCallDelta(0, '{"a":1}'), Finish("tool_calls", Usage(1, 2))]
    (choice,) = invoke(bench, messages=HI, tools=[TOOL])["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"a":1}'}


@pytest.mark.parametrize(("reason", "word"), [("stop_sequence", "stop"), ("length", "length"), ("context", "length")])
def test_finish_reasons(bench: Bench, reason: FinishReason, word: str) -> None:
    bench.engine.deltas = told("a", reason=reason)
    assert invoke(bench, messages=HI)["choices"][0]["finish_reason"] == word


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"messages": None}, malformed("#: required key [messages] not found")),
        ({"messages": []}, "messages: There must be a message of the user or the assistant."),
        ({"messages": [{"role": "human", "content": "x"}]},
         "messages.0.role: Use one of 'system', 'developer', 'user', 'assistant', 'tool'."),
        ({"n": 2}, "n: This model gives one choice a request. Use 1 and try again."),
        ({"n": 17}, malformed("#/n: 17 is not less or equal to 16")),
        ({"temperature": 2.1}, malformed("#/temperature: 2.1 is not less or equal to 2")),
        ({"max_tokens": 5001}, malformed("#/max_tokens: 5001 is not less or equal to 5000")),
        ({"top_k": 1}, malformed("#: extraneous key [top_k] is not permitted")),
        ({"stop": [""]}, "stop: Give up to 10 texts, none of them empty."),
    ],
)  # fmt: skip
def test_refusals(bench: Bench, changes: dict[str, Any], problem: str) -> None:
    assert refused(bench, **{"messages": HI, **changes}) == problem
