"""Anthropic Messages: the streaming events."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from outcrop.engines.engine import (
    EngineFailed,
    EngineTimeout,
    Finish,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    Usage,
)
from outcrop.errors import AwsError
from outcrop.inference.operations import invoke_model_with_response_stream
from tests.inference.bench import MODEL, Bench, says
from tests.inference.native import body, invoke, invoke_streamed

TOOL = {"name": "f", "input_schema": {"type": "object"}}
METRICS = "amazon-bedrock-invocationMetrics"


def test_all_events_in_order(bench: Bench) -> None:
    bench.engine.deltas = [
        ReasoningDelta("hm"), TextDelta("So"), ToolCallStart(0, "0", "f"), ToolCallDelta(0, '{"a"'),
        ToolCallDelta(0, ":1}"), ToolCallStart(1, "1", "f"), Finish("tool_calls", Usage(10, 3, cached_tokens=4)),
    ]  # fmt: skip
    events = invoke_streamed(bench, tools=[TOOL])
    start = events[0]["message"]
    assert (start["content"], start["stop_reason"], start["model"]) == ([], None, MODEL)
    assert (start["usage"]["input_tokens"], start["usage"]["output_tokens"]) == (10, 1)
    told = [(e["type"], e.get("index"), (e.get("content_block") or e.get("delta") or {}).get("type")) for e in events]
    assert told == [
        ("message_start", None, None),
        ("content_block_start", 0, "thinking"),
        ("content_block_delta", 0, "thinking_delta"),
        ("content_block_delta", 0, "signature_delta"),
        ("content_block_stop", 0, None),
        ("content_block_start", 1, "text"),
        ("content_block_delta", 1, "text_delta"),
        ("content_block_stop", 1, None),
        ("content_block_start", 2, "tool_use"),
        ("content_block_delta", 2, "input_json_delta"),
        ("content_block_delta", 2, "input_json_delta"),
        ("content_block_stop", 2, None),
        ("content_block_start", 3, "tool_use"),
        ("content_block_delta", 3, "input_json_delta"),
        ("content_block_stop", 3, None),
        ("message_delta", None, None),
        ("message_stop", None, None),
    ]
    assert events[-2]["usage"]["output_tokens"] == 3
    assert [event for event in events if METRICS in event] == [events[-1]]
    metrics = events[-1][METRICS]
    assert metrics["invocationLatency"] >= metrics["firstByteLatency"] >= 0
    counted = {name: value for name, value in metrics.items() if name.endswith("TokenCount")}
    assert counted == {
        "inputTokenCount": 6, "outputTokenCount": 3, "cacheReadInputTokenCount": 4, "cacheWriteInputTokenCount": 0,
    }  # fmt: skip


def joined(events: list[Any]) -> list[Any]:
    """The content that the events spell, calls without their ids."""
    content: list[Any] = []
    for event in events:
        if event["type"] == "content_block_start":
            content.append({**event["content_block"]} | ({"input": ""} if "input" in event["content_block"] else {}))
        elif event["type"] == "content_block_delta":
            for key, piece in event["delta"].items():
                if key != "type":
                    name = "input" if key == "partial_json" else key
                    content[event["index"]][name] += piece
    return [
        {**block, "input": json.loads(block["input"]), "id": ""} if "input" in block else block for block in content
    ]


def test_the_stream_is_the_answer_in_pieces(bench: Bench) -> None:
    bench.engine.deltas = [
        ReasoningDelta("h"), ReasoningDelta("m"), TextDelta("S"), TextDelta("o"), ToolCallStart(0, "0", "f"),
        ToolCallDelta(0, '{"a'), ToolCallDelta(0, '":1}'), ToolCallStart(1, "1", "f"),
        Finish("tool_calls", Usage(1, 1)),
    ]  # fmt: skip
    answer = invoke(bench, tools=[TOOL])
    whole = [{**block, "id": ""} if "id" in block else block for block in answer["content"]]
    events = invoke_streamed(bench, tools=[TOOL])
    assert joined(events) == whole
    assert events[-2]["usage"] == answer["usage"]


def test_an_empty_answer(bench: Bench) -> None:
    bench.engine.deltas = [Finish("stop", Usage(5, 0))]
    assert [event["type"] for event in invoke_streamed(bench)] == ["message_start", "message_delta", "message_stop"]


def test_failures_before_and_within(bench: Bench) -> None:
    for problem, early, late in (
        (EngineFailed("broke"), "ModelErrorException", "ModelStreamErrorException"),
        (EngineTimeout("late"), "ModelTimeoutException", "ModelTimeoutException"),
    ):
        bench.engine.deltas = [problem]
        with pytest.raises(AwsError) as caught:
            bench.call(invoke_model_with_response_stream, body=body())
        assert caught.value.code == early
        bench.engine.deltas = [TextDelta("x"), problem]
        with pytest.raises(AwsError) as caught:
            invoke_streamed(bench)
        assert caught.value.code == late
    assert bench.engine.closed == 4


def test_a_model_that_cannot_count_ahead_streams_all_the_same(bench: Bench) -> None:
    bench.engine.able = replace(bench.engine.able, count_tokens=False)
    events = invoke_streamed(bench)
    assert events[0]["message"]["usage"]["input_tokens"] == 0
    assert events[-2]["usage"]["input_tokens"] == 10


def test_an_abandoned_stream_ends_the_generation(bench: Bench) -> None:
    bench.engine.hold = True
    bench.engine.deltas = says("Hello")[:1]

    async def abandon() -> None:
        response: Any = await invoke_model_with_response_stream(bench.ctx, {"modelId": MODEL, "body": body()})
        await anext(response["body"])
        await response["body"].aclose()

    asyncio.run(abandon())
    assert bench.engine.closed == 1
