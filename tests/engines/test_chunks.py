"""Chunks as servers really send them, read as deltas."""

from __future__ import annotations

from typing import Any

import pytest

from outcrop.engines.engine import (
    Delta,
    EngineFailed,
    Finish,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
    Usage,
)
from outcrop.engines.openai.chunks import Chunks

USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 3}}


def chunk(finish: str | None = None, /, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def call(index: int, arguments: str, name: str | None = None) -> dict[str, Any]:
    head = {"id": f"id{index}"} if name else {}
    return chunk(
        tool_calls=[{"index": index, **head, "function": {"arguments": arguments, **({"name": name} if name else {})}}]
    )


def read(chunks: list[dict[str, Any]], **options: Any) -> list[Delta]:
    """One by one, as they come when nothing waits."""
    reader = Chunks(**options)
    deltas: list[Delta] = []
    for one in chunks:
        deltas += reader.read([one])
        if reader.done:
            break
    return deltas + reader.finish()


def test_text_and_usage() -> None:
    deltas = read(
        [
            chunk(role="assistant", content=None),
            chunk(content="Hel"),
            chunk(content="lo"),
            chunk("stop"),
            {"choices": [], "usage": USAGE},
        ]
    )
    assert deltas == [TextDelta("Hel"), TextDelta("lo"), Finish("stop", Usage(9, 4, 3))]


def test_what_arrives_together_is_joined() -> None:
    reader = Chunks()
    assert reader.read([chunk(content="a"), chunk(content="b"), chunk(reasoning_content="c"), chunk(content="d")]) == [
        TextDelta("ab"),
        ReasoningDelta("c"),
        TextDelta("d"),
    ]


def test_reasoning_under_both_of_its_names() -> None:
    assert read([chunk(reasoning="x"), chunk(reasoning_content="y"), chunk("stop")])[:2] == [
        ReasoningDelta("x"),
        ReasoningDelta("y"),
    ]


def test_tool_calls() -> None:
    deltas = read(
        [call(0, "", "f"), call(0, '{"a":'), call(0, "1}"), call(1, "{}", "g"), chunk("tool_calls")], tools=["f", "g"]
    )
    assert deltas[:5] == [
        ToolCallStart(0, "id0", "f"),
        ToolCallDelta(0, '{"a":'),
        ToolCallDelta(0, "1}"),
        ToolCallStart(1, "id1", "g"),
        ToolCallDelta(1, "{}"),
    ]
    assert isinstance(deltas[-1], Finish)
    assert deltas[-1].reason == "tool_calls"


@pytest.mark.parametrize(
    ("name", "arguments"), [("nobody", "{}"), ("f", '{"a": '), ("f", "[1]")], ids=["unknown tool", "cut", "no object"]
)
def test_calls_that_cannot_be_used_are_malformed(name: str, arguments: str) -> None:
    last = read([call(0, arguments, name), chunk("tool_calls")], tools=["f"])[-1]
    assert isinstance(last, Finish)
    assert last.reason == "malformed_tool_call"


def test_some_servers_say_stop_after_a_call() -> None:
    last = read([call(0, "{}", "f"), chunk("stop")], tools=["f"])[-1]
    assert isinstance(last, Finish)
    assert last.reason == "tool_calls"


@pytest.mark.parametrize(("most", "reason"), [(4, "length"), (None, "length"), (10, "context")])
def test_a_full_context_is_told_from_max_tokens(most: int | None, reason: str) -> None:
    last = read([chunk("length"), {"choices": [], "usage": USAGE}], max_tokens=most)[-1]
    assert isinstance(last, Finish)
    assert last.reason == reason


def test_the_stop_string_that_vllm_names() -> None:
    ending = {"choices": [{"delta": {}, "finish_reason": "stop", "stop_reason": "END"}]}
    assert read([ending])[-1] == Finish("stop_sequence", Usage(0, 0), "END")
    by_token = {"choices": [{"delta": {}, "finish_reason": "stop", "stop_reason": 151645}]}
    assert read([by_token])[-1] == Finish("stop", Usage(0, 0))


def test_a_stop_string_found_here_takes_the_running_counts() -> None:
    timings = {"timings": {"cache_n": 5, "prompt_n": 7, "predicted_n": 3}}
    deltas = read(
        [{**chunk(content="one EN"), **timings}, {**chunk(content="D two"), **timings}, chunk(content="never read")],
        stops=("END",),
    )
    assert deltas == [TextDelta("one "), Finish("stop_sequence", Usage(12, 3, 5), "END")]


def test_text_held_back_for_a_stop_string_is_not_lost() -> None:
    assert read([chunk(content="one EN"), chunk("stop")], stops=("END",))[:2] == [TextDelta("one "), TextDelta("EN")]


def test_an_answer_without_an_end_broke_off() -> None:
    with pytest.raises(EngineFailed, match="broke off"):
        read([chunk(content="Hel")])
