"""ConverseStream: failures before and within the stream, and streams that nobody reads to the end."""

from __future__ import annotations

import asyncio
import gc
from dataclasses import replace
from typing import Any

import pytest

from outcrop.engines.engine import (
    ContextOverflow,
    Delta,
    EngineBusy,
    EngineError,
    EngineFailed,
    EngineTimeout,
    Finish,
    InvalidRequest,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    Unsupported,
    Usage,
)
from outcrop.errors import AwsError
from outcrop.inference.operations import converse, converse_stream
from tests.inference.bench import MODEL, Bench, says, user

FAILURES: list[tuple[EngineError, str, str]] = [
    (ContextOverflow(9, 8), "ValidationException", "ValidationException"),
    (Unsupported("images"), "ValidationException", "ValidationException"),
    (InvalidRequest("no"), "ValidationException", "ValidationException"),
    (EngineBusy("full"), "ThrottlingException", "ThrottlingException"),
    (EngineTimeout("late"), "ModelTimeoutException", "ModelStreamErrorException"),
    (EngineFailed("broke"), "ModelErrorException", "ModelStreamErrorException"),
]


def until_it_fails(bench: Bench) -> tuple[list[Any], AwsError]:
    """The events before the failure, and the failure."""

    async def run() -> tuple[list[Any], AwsError]:
        request: Any = {"modelId": MODEL, "messages": [user("Hi")]}
        stream: Any = (await converse_stream(bench.ctx, request))["stream"]
        events = []
        try:
            async for event in stream:
                events.append(event)  # noqa: PERF401  # what came before the failure is wanted
        except AwsError as problem:
            return events, problem
        raise AssertionError("it did not fail")

    return asyncio.run(run())


@pytest.mark.parametrize(("problem", "early", "late"), FAILURES)
def test_a_failure_is_an_error_before_the_first_delta_and_an_exception_after(
    bench: Bench, problem: EngineError, early: str, late: str
) -> None:
    bench.engine.deltas = [problem]
    for operation in (converse, converse_stream):
        with pytest.raises(AwsError) as caught:
            bench.call(operation, messages=[user("Hi")])
        assert caught.value.code == early
    bench.engine.deltas = [TextDelta("x"), problem]
    events, error = until_it_fails(bench)
    assert [next(iter(event)) for event in events] == ["messageStart", "contentBlockDelta"]
    assert error.code == late
    assert bench.engine.closed == 3


def test_an_answer_that_breaks_off_is_a_failure(bench: Bench) -> None:
    bench.engine.deltas = [TextDelta("x")]
    assert until_it_fails(bench)[1].code == "ModelStreamErrorException"
    with pytest.raises(AwsError, match="broke off") as caught:
        bench.call(converse, messages=[user("Hi")])
    assert caught.value.code == "ModelErrorException"
    bench.engine.deltas = []
    with pytest.raises(AwsError, match="broke off"):
        bench.call(converse_stream, messages=[user("Hi")])


@pytest.mark.parametrize(
    "deltas",
    [
        [TextDelta("x"), ToolCallDelta(0, "{}")],
        [ToolCallStart(0, "0", "f"), ToolCallDelta(1, "{}")],
        [ToolCallStart(0, "0", "f"), TextDelta("x"), ToolCallDelta(0, "{}")],
    ],
)
def test_a_fragment_of_no_open_call_is_the_models_error(bench: Bench, deltas: list[Delta]) -> None:
    bench.engine.deltas = [*deltas, Finish("tool_calls", Usage(1, 1))]
    assert until_it_fails(bench)[1].code == "ModelStreamErrorException"
    with pytest.raises(AwsError) as caught:
        bench.call(converse, messages=[user("Hi")])
    assert caught.value.code == "ModelErrorException"


def test_a_stream_closed_before_its_first_event_ends_the_generation(bench: Bench) -> None:
    bench.engine.deltas = says("Hello")
    bench.engine.hold = True

    async def abandon() -> None:
        request: Any = {"modelId": MODEL, "messages": [user("Hi")]}
        response: Any = await converse_stream(bench.ctx, request)
        await response.pop("stream").aclose()
        gc.collect()
        for _ in range(10):
            await asyncio.sleep(0)
        assert bench.engine.closed == 1

    asyncio.run(abandon())


def test_a_model_that_cannot_stream_is_refused_before_it_is_asked(bench: Bench) -> None:
    bench.engine.able = replace(bench.engine.able, streaming=False)
    with pytest.raises(AwsError, match="unsupported for streaming"):
        bench.call(converse_stream, messages=[user("Hi")])
    assert bench.engine.asked == []
    assert bench.call(converse, messages=[user("Hi")])["stopReason"] == "end_turn"
