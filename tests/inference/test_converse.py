"""Converse and ConverseStream: what is answered."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from outcrop.engines.engine import (
    ChatRequest,
    Delta,
    Finish,
    FinishReason,
    Message,
    ReasoningDelta,
    Text,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    Usage,
)
from outcrop.errors import AwsError
from outcrop.inference.operations import converse, converse_stream
from tests.inference.bench import ABLE, MODEL, Bench, names, says, user

TOOL: dict[str, Any] = {
    "tools": [{"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": {"type": "object"}}}}]
}


def test_answers(bench: Bench) -> None:
    answer = bench.call(converse, messages=[user("Hi")])
    assert answer["output"] == {"message": {"role": "assistant", "content": [{"text": "Hello"}]}}
    assert answer["stopReason"] == "end_turn"
    assert answer["usage"] == {
        "inputTokens": 10,
        "outputTokens": 3,
        "totalTokens": 13,
        "cacheReadInputTokens": 0,
        "cacheWriteInputTokens": 0,
    }
    assert isinstance(answer["metrics"]["latencyMs"], int)
    assert bench.asked.messages == (Message("user", (Text("Hi"),)),)


def test_streams_in_bedrocks_order(bench: Bench) -> None:
    events = bench.stream(converse_stream, messages=[user("Hi")])
    assert events[:-1] == [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"delta": {"text": "Hello"}, "contentBlockIndex": 0}},
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"messageStop": {"stopReason": "end_turn"}},
    ]
    assert events[-1]["metadata"]["usage"]["totalTokens"] == 13


def test_only_a_tool_call_has_a_start_event(bench: Bench) -> None:
    bench.engine.deltas = [
        TextDelta("Let me see."),
        ToolCallStart(0, "0", "f"),
        ToolCallDelta(0, '{"a"'),
        ToolCallDelta(0, ": 1}"),
        Finish("tool_calls", Usage(10, 3)),
    ]
    events = bench.stream(converse_stream, messages=[user("Hi")], toolConfig=TOOL)
    assert names(events) == [
        "messageStart",
        "contentBlockDelta",
        "contentBlockStop",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    start = events[3]["contentBlockStart"]
    assert start["contentBlockIndex"] == 1
    assert start["start"]["toolUse"]["name"] == "f"
    assert len(start["start"]["toolUse"]["toolUseId"]) == len("tooluse_") + 22
    assert [e["contentBlockDelta"]["delta"]["toolUse"]["input"] for e in events[4:6]] == ['{"a"', ": 1}"]
    assert events[7] == {"messageStop": {"stopReason": "tool_use"}}


def test_a_call_without_arguments_streams_an_empty_object(bench: Bench) -> None:
    bench.engine.deltas = [ToolCallStart(0, "0", "f"), Finish("tool_calls", Usage(1, 1))]
    events = bench.stream(converse_stream, messages=[user("Hi")], toolConfig=TOOL)
    assert events[2]["contentBlockDelta"]["delta"] == {"toolUse": {"input": "{}"}}
    answer = bench.call(converse, messages=[user("Hi")], toolConfig=TOOL)
    assert answer["output"]["message"]["content"][0]["toolUse"]["input"] == {}


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", "end_turn"),
        ("stop_sequence", "stop_sequence"),
        ("length", "max_tokens"),
        ("context", "model_context_window_exceeded"),
        ("tool_calls", "tool_use"),
        ("content_filter", "content_filtered"),
        ("malformed_tool_call", "malformed_tool_use"),
    ],
)
def test_every_stop_reason(bench: Bench, reason: FinishReason, expected: str) -> None:
    bench.engine.deltas = [TextDelta("x"), Finish(reason, Usage(1, 1))]
    assert bench.call(converse, messages=[user("Hi")])["stopReason"] == expected
    events = bench.stream(converse_stream, messages=[user("Hi")])
    assert events[-2] == {"messageStop": {"stopReason": expected}}


@pytest.mark.parametrize("fragment", ['{"a": ', "[1]", "nonsense"])
def test_a_call_that_is_no_object_is_malformed(bench: Bench, fragment: str) -> None:
    bench.engine.deltas = [ToolCallStart(0, "0", "f"), ToolCallDelta(0, fragment), Finish("tool_calls", Usage(1, 1))]
    answer = bench.call(converse, messages=[user("Hi")], toolConfig=TOOL)
    assert answer["stopReason"] == "malformed_tool_use"
    assert answer["output"]["message"]["content"] == []
    events = bench.stream(converse_stream, messages=[user("Hi")], toolConfig=TOOL)
    assert events[-2] == {"messageStop": {"stopReason": "malformed_tool_use"}}


def test_a_call_that_was_cut_off_is_left_out(bench: Bench) -> None:
    bench.engine.deltas = [
        TextDelta("x"), ToolCallStart(0, "0", "f"), ToolCallDelta(0, '{"a'), Finish("length", Usage(1, 1)),
    ]  # fmt: skip
    answer = bench.call(converse, messages=[user("Hi")], toolConfig=TOOL)
    assert answer["stopReason"] == "max_tokens"
    assert answer["output"]["message"]["content"] == [{"text": "x"}]


def test_reasoning_comes_signed_and_may_come_back_unchanged_only(bench: Bench) -> None:
    bench.engine.deltas = [ReasoningDelta("I "), ReasoningDelta("think"), TextDelta("Yes"), Finish("stop", Usage(1, 1))]
    message = bench.call(converse, messages=[user("Hi")])["output"]["message"]
    thought = message["content"][0]["reasoningContent"]["reasoningText"]
    assert thought["text"] == "I think"
    events = bench.stream(converse_stream, messages=[user("Hi")])
    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    assert deltas[2] == {"reasoningContent": {"signature": thought["signature"]}}
    bench.call(converse, messages=[user("Hi"), message, user("Sure?")])
    forged = {"role": "assistant", "content": [{"reasoningContent": {"reasoningText": {**thought, "text": "I lie"}}}]}
    with pytest.raises(AwsError, match="signature"):
        bench.call(converse, messages=[user("Hi"), forged, user("Sure?")])


def test_cached_tokens_are_told_apart(bench: Bench) -> None:
    bench.engine.deltas = [TextDelta("x"), Finish("stop", Usage(100, 5, cached_tokens=64))]
    assert bench.call(converse, messages=[user("Hi")])["usage"] == {
        "inputTokens": 36,
        "outputTokens": 5,
        "totalTokens": 105,
        "cacheReadInputTokens": 64,
        "cacheWriteInputTokens": 0,
    }


def test_the_stop_sequence_is_told_where_asked_for(bench: Bench) -> None:
    bench.engine.deltas = [TextDelta("x"), Finish("stop_sequence", Usage(1, 1), "END")]
    request: dict[str, Any] = {
        "messages": [user("Hi")],
        "inferenceConfig": {"stopSequences": ["END"]},
        "additionalModelResponseFieldPaths": ["/stop_sequence", "/nowhere/at/all"],
    }
    assert bench.call(converse, **request)["additionalModelResponseFields"] == {"stop_sequence": "END"}
    stop = bench.stream(converse_stream, **request)[-2]["messageStop"]
    assert stop == {"stopReason": "stop_sequence", "additionalModelResponseFields": {"stop_sequence": "END"}}
    assert "additionalModelResponseFields" not in bench.call(converse, messages=[user("Hi")])


def test_what_was_used_is_echoed(bench: Bench) -> None:
    chosen: dict[str, Any] = {"performanceConfig": {"latency": "standard"}, "serviceTier": {"type": "default"}}
    answer = bench.call(converse, messages=[user("Hi")], **chosen)
    metadata = bench.stream(converse_stream, messages=[user("Hi")], **chosen)[-1]["metadata"]
    for told in (answer, metadata):
        assert (told["performanceConfig"], told["serviceTier"]) == (chosen["performanceConfig"], chosen["serviceTier"])


def test_everything_about_sampling_reaches_the_engine(bench: Bench) -> None:
    bench.call(
        converse,
        messages=[user("Hi")],
        inferenceConfig={"maxTokens": 7, "temperature": 0.5, "topP": 0.9, "stopSequences": ["a", "b"]},
        additionalModelRequestFields={"top_k": 40, "seed": 1, "anthropic_beta": ["x"], "frequency_penalty": 0.5},
        requestMetadata={"team": "blue"},
    )
    sampling = bench.asked.sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.top_p, sampling.top_k) == (7, 0.5, 0.9, 40)
    assert (sampling.seed, sampling.stop, sampling.frequency_penalty) == (1, ("a", "b"), 0.5)


def test_an_empty_answer_is_an_answer(bench: Bench) -> None:
    bench.engine.deltas = [Finish("stop", Usage(5, 0))]
    assert bench.call(converse, messages=[user("Hi")])["output"]["message"]["content"] == []
    assert names(bench.stream(converse_stream, messages=[user("Hi")])) == ["messageStart", "messageStop", "metadata"]


def test_an_abandoned_stream_ends_the_generation(bench: Bench) -> None:
    bench.engine.hold = True
    bench.engine.deltas = says("Hello")[:1]

    async def abandon() -> None:
        request: Any = {"modelId": MODEL, "messages": [user("Hi")]}
        response = await converse_stream(bench.ctx, request)
        stream: Any = response["stream"]
        await anext(stream)
        await anext(stream)
        await stream.aclose()

    asyncio.run(abandon())
    assert bench.engine.closed == 1


def test_a_cancelled_call_ends_the_generation(bench: Bench) -> None:
    bench.engine.hold = True
    bench.engine.deltas = []

    async def cancel(operation: Any) -> None:
        task = asyncio.create_task(operation(bench.ctx, {"modelId": MODEL, "messages": [user("Hi")]}))
        await bench.engine.running.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    for n, operation in enumerate((converse, converse_stream), 1):
        bench.engine.running = asyncio.Event()
        asyncio.run(cancel(operation))
        assert bench.engine.closed == n


def _calls(number: int, fragments: list[str]) -> list[Delta]:
    text = json.dumps({"a": "".join(fragments)})
    pieces = [text[i : i + 3] for i in range(0, len(text), 3)]
    return [ToolCallStart(number, str(number), "f"), *(ToolCallDelta(number, piece) for piece in pieces)]


@st.composite
def answers(draw: st.DrawFn) -> list[Delta]:
    """Any valid answer of an engine: prose in any mixture, then calls one after the other."""
    prose = st.one_of(st.builds(TextDelta, st.text(max_size=5)), st.builds(ReasoningDelta, st.text(max_size=5)))
    deltas: list[Delta] = list(draw(st.lists(prose, max_size=8)))
    calls = draw(st.lists(st.lists(st.text(max_size=4), max_size=3), max_size=3))
    for number, fragments in enumerate(calls):
        deltas += _calls(number, fragments)
    cached = draw(st.integers(0, 50))
    return [*deltas, Finish("tool_calls" if calls else "stop", Usage(50, draw(st.integers(0, 9)), cached))]


@given(deltas=answers())
@hypothesis_settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
def test_the_stream_is_the_answer_in_pieces(bench: Bench, deltas: list[Delta]) -> None:
    bench.engine.deltas = deltas
    answer: Any = bench.call(converse, messages=[user("Hi")], toolConfig=TOOL)
    events = bench.stream(converse_stream, messages=[user("Hi")], toolConfig=TOOL)
    content, stop, metadata = joined(events)
    assert content == without_ids(answer["output"]["message"]["content"])
    assert stop["stopReason"] == answer["stopReason"]
    assert metadata["usage"] == answer["usage"]


def without_ids(content: list[Any]) -> list[Any]:
    return [{"toolUse": {**b["toolUse"], "toolUseId": ""}} if "toolUse" in b else b for b in content]


def joined(events: list[Any]) -> tuple[list[Any], Any, Any]:
    """The message that the events spell, as an SDK puts it together; it asserts their order on the way."""
    assert events[0] == {"messageStart": {"role": "assistant"}}
    assert names(events[-2:]) == ["messageStop", "metadata"]
    content: list[Any] = []
    current: dict[str, Any] | None = None
    for event in events[1:-2]:
        (kind, body), *rest = event.items()
        assert not rest
        assert body["contentBlockIndex"] == len(content)
        if kind == "contentBlockStart":
            assert current is None
            current = {"toolUse": {**body["start"]["toolUse"], "toolUseId": "", "input": ""}}
        elif kind == "contentBlockDelta":
            current = extended(current, body["delta"])
        else:
            assert kind == "contentBlockStop"
            assert current is not None
            if "toolUse" in current:
                current["toolUse"]["input"] = json.loads(current["toolUse"]["input"])
            content.append(current)
            current = None
    assert current is None
    return content, events[-2]["messageStop"], events[-1]["metadata"]


def extended(block: dict[str, Any] | None, delta: dict[str, Any]) -> dict[str, Any]:
    if "text" in delta:
        return {"text": (block or {"text": ""})["text"] + delta["text"]}
    if "toolUse" in delta:
        assert block is not None
        block["toolUse"]["input"] += delta["toolUse"]["input"]
        return block
    thought = (block or {"reasoningContent": {"reasoningText": {"text": ""}}})["reasoningContent"]["reasoningText"]
    inner = delta["reasoningContent"]
    if "signature" in inner:
        return {"reasoningContent": {"reasoningText": {**thought, "signature": inner["signature"]}}}
    return {"reasoningContent": {"reasoningText": {"text": thought["text"] + inner["text"]}}}


def test_capabilities_decide(bench: Bench) -> None:
    assert isinstance(bench.engine.asked, list)
    bench.engine.able = replace(ABLE, chat=False, embeddings=True)
    with pytest.raises(AwsError, match="doesn't support the Converse API"):
        bench.call(converse, messages=[user("Hi")])
    assert bench.engine.asked == list[ChatRequest]()
