"""Anthropic Messages: the response body, and the headers that go with it."""

from __future__ import annotations

import re

import pytest

from outcrop.engines.engine import (
    Delta,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    Usage,
)
from outcrop.errors import AwsError
from outcrop.inference.operations import invoke_model, invoke_model_with_response_stream
from tests.inference.bench import MODEL, Bench
from tests.inference.native import assistant, body, invoke, invoke_streamed, user

TOOL = {"name": "f", "input_schema": {"type": "object"}}
REASONS: list[tuple[FinishReason, str]] = [
    ("stop", "end_turn"),
    ("stop_sequence", "stop_sequence"),
    ("length", "max_tokens"),
    ("context", "model_context_window_exceeded"),
    ("tool_calls", "tool_use"),
    ("content_filter", "refusal"),
]


def test_the_body(bench: Bench) -> None:
    bench.engine.deltas = [TextDelta("Hel"), TextDelta("lo"), Finish("stop", Usage(10, 3, cached_tokens=4))]
    answer = invoke(bench)
    assert re.fullmatch("msg_bdrk_[A-Za-z0-9]{24}", answer.pop("id"))
    assert answer == {
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 6,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 4,
            "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
            "output_tokens": 3,
        },
    }


def test_the_headers(bench: Bench) -> None:
    bench.engine.deltas = [TextDelta("x"), Finish("stop", Usage(10, 3, cached_tokens=4))]
    answer = bench.call(invoke_model, body=body(), serviceTier="default", performanceConfigLatency="standard")
    assert (answer["serviceTier"], answer["performanceConfigLatency"]) == ("default", "standard")
    told = bench.ctx.response_headers
    assert told.pop("x-amzn-bedrock-invocation-latency").isdigit()
    assert told == {
        "x-amzn-bedrock-input-token-count": "6",
        "x-amzn-bedrock-output-token-count": "3",
        "x-amzn-bedrock-cache-read-input-token-count": "4",
        "x-amzn-bedrock-cache-write-input-token-count": "0",
    }


@pytest.mark.parametrize(("reason", "expected"), REASONS)
def test_every_stop_reason(bench: Bench, reason: FinishReason, expected: str) -> None:
    stop = "END" if reason == "stop_sequence" else None
    bench.engine.deltas = [TextDelta("x"), Finish(reason, Usage(1, 1), stop)]
    answer = invoke(bench)
    assert (answer["stop_reason"], answer["stop_sequence"]) == (expected, stop)
    change = invoke_streamed(bench)[-2]
    assert change["delta"] == {"stop_reason": expected, "stop_sequence": stop}


def test_thinking_and_calls_come_back_and_are_taken(bench: Bench) -> None:
    bench.engine.deltas = [
        ReasoningDelta("hm"), TextDelta("So"), ToolCallStart(0, "0", "f"), ToolCallDelta(0, '{"a":1}'),
        ToolCallStart(1, "1", "f"), Finish("tool_calls", Usage(1, 1)),
    ]  # fmt: skip
    content = invoke(bench, tools=[TOOL])["content"]
    assert [block["type"] for block in content] == ["thinking", "text", "tool_use", "tool_use"]
    assert [block["input"] for block in content[2:]] == [{"a": 1}, {}]
    ids = [block["id"] for block in content[2:]]
    assert len(set(ids)) == 2
    assert all(re.fullmatch("toolu_bdrk_[A-Za-z0-9]{24}", call) for call in ids)
    results = user(*({"type": "tool_result", "tool_use_id": call} for call in ids))
    invoke(bench, "Hi", assistant(*content), results, tools=[TOOL])
    content[0]["thinking"] = "ha"
    with pytest.raises(AwsError, match=r"messages\.1\.content\.0: Invalid `signature` in `thinking` block"):
        invoke(bench, "Hi", assistant(*content), results, tools=[TOOL])


def test_one_tool_at_most_where_asked_for(bench: Bench) -> None:
    bench.engine.deltas = [
        ToolCallStart(0, "0", "f"), ToolCallDelta(0, "{}"), ToolCallStart(1, "1", "f"), ToolCallDelta(1, "{}"),
        Finish("tool_calls", Usage(1, 1)),
    ]  # fmt: skip
    one = {"type": "auto", "disable_parallel_tool_use": True}
    assert len(invoke(bench, tools=[TOOL], tool_choice=one)["content"]) == 1
    starts = [e for e in invoke_streamed(bench, tools=[TOOL], tool_choice=one) if e["type"] == "content_block_start"]
    assert len(starts) == 1


@pytest.mark.parametrize(
    "deltas",
    [
        [TextDelta("x"), Finish("malformed_tool_call", Usage(1, 1))],
        [ToolCallStart(0, "0", "f"), ToolCallDelta(0, "[1]"), Finish("tool_calls", Usage(1, 1))],
        [ToolCallStart(0, "0", "f"), ToolCallDelta(0, '{"a'), Finish("stop", Usage(1, 1))],
    ],
)
def test_a_call_that_cannot_be_read_is_the_models_error(bench: Bench, deltas: list[Delta]) -> None:
    bench.engine.deltas = deltas
    with pytest.raises(AwsError) as caught:
        invoke(bench, tools=[TOOL])
    assert caught.value.code == "ModelErrorException"
    with pytest.raises(AwsError) as caught:
        bench.stream(invoke_model_with_response_stream, body=body(tools=[TOOL]))
    assert caught.value.code == "ModelStreamErrorException"
