"""cachePoint: up to four, never first, long-lived ones before short-lived ones; and never shown to the model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
import pytest

from outcrop.engines.engine import CachePoint, Finish, Text, TextDelta, Usage
from outcrop.errors import AwsError
from outcrop.inference.operations import converse, invoke_model
from tests.inference.bench import Bench, user

SPEC: dict[str, Any] = {"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}


def point(ttl: str | None = None) -> dict[str, Any]:
    return {"cachePoint": {"type": "default", **({"ttl": ttl} if ttl else {})}}


def test_four_points_in_three_places(bench: Bench) -> None:
    bench.call(
        converse,
        toolConfig={"tools": [SPEC, point("1h")]},
        system=[{"text": "s"}, point("1h")],
        messages=[user("a", point(), "b", point("5m"))],
    )
    assert bench.asked_texts == ["a", "b"]
    assert len(bench.asked.messages[0].parts) == 1
    assert len(bench.asked.tools) == 1


def test_an_engine_that_must_be_told_sees_them(bench: Bench) -> None:
    bench.engine.able = replace(bench.engine.able, cache_points=True)
    bench.call(
        converse,
        toolConfig={"tools": [SPEC, point("1h")]},
        system=[{"text": "s"}, {"text": "t"}, point("5m"), {"text": "u"}],
        messages=[user("a", point(), "b")],
    )
    system, said = bench.asked.messages
    assert system.parts == (Text("s\nt"), CachePoint("5m"), Text("u"))
    assert said.parts == (Text("a"), CachePoint(), Text("b"))
    assert bench.asked.tools[0].cache == CachePoint("1h")
    body = {
        "anthropic_version": "bedrock-2023-05-31", "max_tokens": 9,
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": "a"}],
    }  # fmt: skip
    bench.call(invoke_model, body=orjson.dumps(body))
    assert bench.asked.messages[0].parts == (Text("s"), CachePoint("5m"))


def test_what_was_written_is_told(bench: Bench) -> None:
    bench.engine.deltas = [TextDelta("Hi"), Finish("stop", Usage(100, 3, 70, 20))]
    usage = bench.call(converse, messages=[user("a")])["usage"]
    assert usage == {
        "inputTokens": 10, "outputTokens": 3, "totalTokens": 103, "cacheReadInputTokens": 70, "cacheWriteInputTokens": 20,
    }  # fmt: skip
    body = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [{"role": "user", "content": "a"}]}
    used = orjson.loads(bench.call(invoke_model, body=orjson.dumps(body))["body"])["usage"]
    assert (used["input_tokens"], used["cache_creation_input_tokens"], used["cache_read_input_tokens"]) == (10, 20, 70)
    assert bench.ctx.response_headers["x-amzn-bedrock-cache-write-input-token-count"] == "20"


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"messages": [user(point(), "a")]}, "cachePoint block at messages.0.content.0 can't be the first"),
        ({"messages": [user("a")], "system": [point(), {"text": "s"}]}, "at system.0 can't be the first"),
        ({"messages": [user("a")], "toolConfig": {"tools": [point(), SPEC]}}, "at toolConfig.tools.0"),
        ({"messages": [user("a", *[point()] * 5)]}, "A maximum of 4 blocks .* Found 5"),
        ({"messages": [user("a", point(), "b", point("1h"))]}, "must not come after"),
        ({"messages": [user("a", point("1h"))], "system": [{"text": "s"}, point()]}, "must not come after"),
    ],
)
def test_rules(bench: Bench, request_: dict[str, Any], words: str) -> None:
    with pytest.raises(AwsError, match=words):
        bench.call(converse, **request_)
    assert bench.engine.asked == []
