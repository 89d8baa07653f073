"""Reasoning content that comes back from the caller."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from outcrop.engines.engine import Finish, Reasoning, ReasoningDelta, TextDelta, Usage
from outcrop.errors import AwsError
from outcrop.inference.operations import converse
from tests.inference.bench import Bench, assistant, user
from tests.inference.bench import bench as make


def thought(text: str, signature: str | None = None) -> dict[str, Any]:
    return {"reasoningContent": {"reasoningText": {"text": text, **({"signature": signature} if signature else {})}}}


def test_it_reaches_the_engine_without_a_signature_too(bench: Bench) -> None:
    bench.call(converse, messages=[user("Hi"), assistant(thought("hm"), "Yes"), user("Sure?")])
    assert bench.asked.messages[1].parts[0] == Reasoning("hm")


@pytest.mark.parametrize("signature", ["x", "ü", "AAAA"])
def test_a_signature_that_is_not_ours_is_refused(bench: Bench, signature: str) -> None:
    with pytest.raises(AwsError, match=r"messages\.1\.content\.0: Invalid `signature`"):
        bench.call(converse, messages=[user("Hi"), assistant(thought("hm", signature), "Yes"), user("Sure?")])
    assert bench.engine.asked == []


def test_another_servers_signature_is_refused(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = make(tmp_path / "other")
    other.engine.deltas = [ReasoningDelta("hm"), TextDelta("Yes"), Finish("stop", Usage(1, 1))]
    theirs = other.call(converse, messages=[user("Hi")])["output"]["message"]
    other.call(converse, messages=[user("Hi"), theirs, user("Sure?")])
    with pytest.raises(AwsError, match="Invalid `signature`"):
        bench.call(converse, messages=[user("Hi"), theirs, user("Sure?")])


def test_redacted_reasoning_is_refused(bench: Bench) -> None:
    redacted = assistant({"reasoningContent": {"redactedContent": b"x"}}, "Yes")
    with pytest.raises(AwsError, match="redacted reasoning"):
        bench.call(converse, messages=[user("Hi"), redacted, user("Sure?")])


def test_models_that_do_not_reason_refuse_it(bench: Bench) -> None:
    bench.engine.able = replace(bench.engine.able, reasoning=False)
    with pytest.raises(AwsError, match="doesn't support reasoning content"):
        bench.call(converse, messages=[user("Hi"), assistant(thought("hm"), "Yes"), user("Sure?")])
