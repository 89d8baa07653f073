"""cachePoint: up to four, never first, long-lived ones before short-lived ones; and never shown to the model."""

from __future__ import annotations

from typing import Any

import pytest

from outcrop.errors import AwsError
from outcrop.inference.operations import converse
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
