"""What a model's maker signs travels within our own signature, and back to the engine alone."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from outcrop.engines.engine import (
    Delta,
    Finish,
    Reasoning,
    ReasoningDelta,
    ReasoningSignature,
    TextDelta,
    Thinking,
    Usage,
)
from outcrop.errors import AwsError
from outcrop.inference.operations import (
    converse,
    converse_stream,
    count_tokens,
    invoke_model,
    invoke_model_with_response_stream,
)
from tests.inference.bench import MODEL, Bench, assistant, user

THOUGHT: list[Delta | Exception] = [
    ReasoningDelta("h"),
    ReasoningDelta("m"),
    ReasoningSignature("theirs"),
    TextDelta("Yes"),
    Finish("stop", Usage(1, 1)),
]
BODY: dict[str, Any] = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 4000}


def signatures(bench: Bench) -> list[str]:
    """Of the same answer, whole and streamed, in both formats."""
    bench.engine.deltas = THOUGHT
    said = bench.call(converse, messages=[user("Hi")])["output"]["message"]["content"][0]
    events = bench.stream(converse_stream, messages=[user("Hi")])
    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    body = orjson.dumps({**BODY, "messages": [{"role": "user", "content": "Hi"}]})
    native = orjson.loads(bench.call(invoke_model, body=body)["body"])["content"][0]
    chunks = [
        orjson.loads(part["chunk"]["bytes"]) for part in bench.stream(invoke_model_with_response_stream, body=body)
    ]
    streamed = [
        chunk["delta"]["signature"] for chunk in chunks if chunk.get("delta", {}).get("type") == "signature_delta"
    ]
    told = [
        delta["reasoningContent"]["signature"] for delta in deltas if "signature" in delta.get("reasoningContent", {})
    ]
    return [said["reasoningContent"]["reasoningText"]["signature"], *told, native["signature"], *streamed]


def test_it_is_the_same_in_every_form_and_comes_back_to_the_engine(bench: Bench) -> None:
    given = signatures(bench)
    assert len(given) == 4
    assert len(set(given)) == 1
    block = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": given[0]}}}
    bench.call(converse, messages=[user("Hi"), assistant(block, "Yes"), user("Sure?")])
    assert bench.asked.messages[1].parts[0] == Reasoning("hm", "theirs")


@pytest.mark.parametrize(
    ("text", "change"),
    [("hm!", lambda s: s), ("hm", lambda s: s + "x"), ("hm", lambda s: s.partition(".")[0]), ("hm", lambda s: "." + s)],
    ids=["text", "theirs", "without theirs", "ours"],
)
def test_neither_text_nor_signature_can_be_changed(bench: Bench, text: str, change: Any) -> None:
    changed = change(signatures(bench)[0])
    block = {"reasoningContent": {"reasoningText": {"text": text, "signature": changed}}}
    with pytest.raises(AwsError, match="Invalid `signature`"):
        bench.call(converse, messages=[user("Hi"), assistant(block, "Yes"), user("Sure?")])


def test_a_block_that_is_signed_and_not_shown(bench: Bench) -> None:
    bench.engine.deltas = [ReasoningSignature("theirs"), TextDelta("Yes"), Finish("stop", Usage(1, 1))]
    message = bench.call(converse, messages=[user("Hi")])["output"]["message"]
    assert message["content"][0]["reasoningContent"]["reasoningText"]["text"] == ""
    bench.call(converse, messages=[user("Hi"), message, user("Sure?")])
    assert bench.asked.messages[1].parts[0] == Reasoning("", "theirs")


@pytest.mark.parametrize(
    ("asked", "thinking"),
    [
        ({"type": "enabled", "budget_tokens": 2000}, Thinking(2000)),
        ({"type": "adaptive"}, Thinking()),
        ({"type": "disabled"}, None),
    ],
)
def test_thinking_that_is_asked_for_reaches_the_engine(bench: Bench, asked: Any, thinking: Thinking | None) -> None:
    bench.call(converse, messages=[user("Hi")], additionalModelRequestFields={"thinking": asked})
    assert bench.asked.thinking == thinking
    bench.call(
        invoke_model,
        body=orjson.dumps({**BODY, "messages": [user("Hi")], "thinking": asked}).replace(
            b'{"text":', b'{"type":"text","text":'
        ),
    )
    assert bench.asked.thinking == thinking
    bench.call(count_tokens, modelId=MODEL, input={"converse": {"messages": [user("Hi")]}})
