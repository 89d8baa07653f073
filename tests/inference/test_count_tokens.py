"""CountTokens: what an inference call would take, in either body, without a generation."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from outcrop.errors import AwsError
from outcrop.inference.operations import count_tokens
from tests.inference.bench import Bench, assistant, user

BODY = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}


def native(body: Any) -> dict[str, Any]:
    return {"invokeModel": {"body": json.dumps(body).encode()}}


def test_both_bodies_are_counted_without_a_generation(bench: Bench) -> None:
    conversation = {"messages": [user("a"), assistant("b"), user("c")], "system": [{"text": "s"}]}
    assert bench.call(count_tokens, input={"converse": conversation}) == {"inputTokens": 40}
    assert bench.call(count_tokens, input=native(BODY)) == {"inputTokens": 10}
    assert bench.engine.asked == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"converse": {"messages": [assistant("a")]}}, "must start with a user message"),
        ({"converse": {"messages": [user("a"), user("b")]}}, "must alternate"),
        ({"converse": {"messages": [user("a")], "additionalModelRequestFields": {"x": 1}}}, "extraneous key"),
        (native({**BODY, "model": "m"}), r"extraneous key \[model\] is not permitted"),
        ({"invokeModel": {"body": b"{"}}, "Malformed input request"),
    ],
)
def test_the_rules_of_the_call_hold(bench: Bench, given: dict[str, Any], words: str) -> None:
    with pytest.raises(AwsError, match=words) as caught:
        bench.call(count_tokens, input=given)
    assert caught.value.code == "ValidationException"


@pytest.mark.parametrize("able", [{"count_tokens": False}, {"chat": False}])
def test_models_that_cannot(bench: Bench, able: dict[str, bool]) -> None:
    bench.engine.able = replace(bench.engine.able, **able)
    with pytest.raises(AwsError, match="doesn't support"):
        bench.call(count_tokens, input={"converse": {"messages": [user("a")]}})
