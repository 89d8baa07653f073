"""Nova's messages-v1: Converse's shapes as a native body."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from outcrop.engines.engine import Finish, Image, Text, TextDelta, ToolCallDelta, ToolCallStart, ToolChoice, Usage
from outcrop.errors import AwsError
from outcrop.inference.operations import invoke_model, invoke_model_with_response_stream
from outcrop.settings import ModelSpec
from tests.inference.bench import MODEL, Bench, bench, settings
from tests.inference.test_images import png


@pytest.fixture
def nova(tmp_path: Path) -> Bench:
    return bench(tmp_path, chosen=settings(models=(ModelSpec(id=MODEL, engine="scripted", family="nova"),)))


def body(*content: Any, **members: Any) -> bytes:
    blocks = [{"text": block} if isinstance(block, str) else block for block in content or ("Hi",)]
    return json.dumps(
        {"schemaVersion": "messages-v1", "messages": [{"role": "user", "content": blocks}], **members}
    ).encode()


def ask(nova: Bench, *content: Any, **members: Any) -> Any:
    return json.loads(nova.call(invoke_model, body=body(*content, **members))["body"])


def test_a_plain_answer(nova: Bench) -> None:
    config = {"maxTokens": 9, "temperature": 0.5, "topP": 0.9, "topK": 20, "stopSequences": ["x"]}
    answer = ask(nova, system=[{"text": "Be brief."}], inferenceConfig=config)
    assert answer == {
        "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}},
        "stopReason": "end_turn",
        "usage": {
            "inputTokens": 10,
            "outputTokens": 3,
            "totalTokens": 13,
            "cacheReadInputTokenCount": 0,
            "cacheWriteInputTokenCount": 0,
        },
    }
    sampling = nova.asked.sampling
    assert (sampling.max_tokens, sampling.temperature, sampling.top_p, sampling.top_k) == (9, 0.5, 0.9, 20)
    assert sampling.stop == ("x",)
    assert nova.asked.messages[0].parts == (Text("Be brief."),)


def test_the_snake_spellings(nova: Bench) -> None:
    ask(nova, inferenceConfig={"max_new_tokens": 5, "top_p": 0.2, "top_k": 3})
    sampling = nova.asked.sampling
    assert (sampling.max_tokens, sampling.top_p, sampling.top_k) == (5, 0.2, 3)


def test_pictures_come_as_base64(nova: Bench) -> None:
    picture = {"image": {"format": "png", "source": {"bytes": base64.b64encode(png(2, 2)).decode()}}}
    ask(nova, picture, "What?")
    assert nova.asked.messages[0].parts == (Image("png", png(2, 2)), Text("What?"))


def test_tools_in_chunks(nova: Bench) -> None:
    nova.engine.deltas = [
        TextDelta("So."),
        ToolCallStart(0, "x", "f"),
        ToolCallDelta(0, '{"a":1}'),
        Finish("tool_calls", Usage(10, 5, 4)),
    ]
    tools = [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]
    given = body(toolConfig={"tools": tools, "toolChoice": {"any": {}}})
    events = nova.stream(invoke_model_with_response_stream, body=given)
    chunks = [json.loads(event["chunk"]["bytes"]) for event in events]
    assert nova.asked.tool_choice == ToolChoice("any")
    assert [next(iter(chunk)) for chunk in chunks] == [
        "messageStart",
        "contentBlockDelta",
        "contentBlockStop",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    ]
    assert chunks[-2] == {"messageStop": {"stopReason": "tool_use"}}
    assert chunks[-1]["metadata"]["usage"]["cacheReadInputTokenCount"] == 4
    assert chunks[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 5


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"schemaVersion": "messages-v2"}, "not a valid enum value"),
        ({"max_tokens": 5}, r"extraneous key \[max_tokens\] is not permitted"),
        ({"inferenceConfig": {"max_tokens": 5}}, r"#/inferenceConfig: extraneous key \[max_tokens\]"),
        ({"inferenceConfig": {"temperature": 2}}, "not less or equal to 1"),
        ({"messages": [{"role": "user", "content": [{"text": "a", "image": {}}]}]}, "content"),
        ({"messages": []}, "start with a user message"),
    ],
)
def test_what_is_refused(nova: Bench, members: dict[str, Any], told: str) -> None:
    with pytest.raises(AwsError, match=told):
        ask(nova, **members)
