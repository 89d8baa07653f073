"""The promise end to end: `outcrop serve`, the house model at its hottest, and a client of AWS's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from tests.inference.structured.judging import fits
from tests.inference.structured.schemas import asking, schemas, tool_schemas
from tests.live import serve

MODEL = "outcrop.house-nano-v1:0"
CLAUDE = "anthropic.claude-sonnet-4-20250514-v1:0"
# Nothing in it goes on for ever: an answer that fits it is whole.
PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"enum": ["Maria", "José \"Pepe\" \\ 😀"]},
        "born": {"type": "string", "format": "date"},
        "size": {"allOf": [{"type": ["integer", "null"]}, {"$ref": "#/$defs/size"}]},
    },
    "required": ["name", "born", "size"],
    "additionalProperties": False,
    "$defs": {"size": {"enum": [1, 2.5, None, "large"]}},
}  # fmt: skip
HELLO = [{"role": "user", "content": [{"text": "Hello"}]}]


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with serve(tmp_path_factory.mktemp("home"), "--alias", f"anthropic.*={MODEL}") as server:
        environment = server.environment
        yield boto3.client(
            "bedrock-runtime",
            region_name=environment["AWS_REGION"],
            endpoint_url=environment["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"],
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            config=Config(retries={"total_max_attempts": 1}),
        )


def hot(tokens: int = 400) -> dict[str, Any]:
    return {"temperature": 1.0, "topP": 1.0, "maxTokens": tokens}


def structured(schema: Any) -> dict[str, Any]:
    return {
        "textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": json.dumps(schema), "name": "n"}}}
    }


def tool(schema: Any, name: str = "save", **more: Any) -> dict[str, Any]:
    return {"toolSpec": {"name": name, "inputSchema": {"json": schema}, **more}}


def blocks_of(events: Iterator[Any]) -> tuple[str, list[dict[str, Any]]]:
    """Stop reason; of each block its text, and its tool's name."""
    reason, blocks = "", dict[int, dict[str, Any]]()
    for event in events:
        if "contentBlockStart" in event:
            started = event["contentBlockStart"]
            blocks[started["contentBlockIndex"]] = {"name": started["start"]["toolUse"]["name"], "text": ""}
        elif "contentBlockDelta" in event:
            block = blocks.setdefault(event["contentBlockDelta"]["contentBlockIndex"], {"text": ""})
            delta = event["contentBlockDelta"]["delta"]
            block["text"] += delta["text"] if "text" in delta else delta["toolUse"]["input"]
        elif "messageStop" in event:
            reason = event["messageStop"]["stopReason"]
    return reason, list(blocks.values())


def test_an_answer_with_a_schema(runtime: Any) -> None:
    for _ in range(5):
        answer = runtime.converse(modelId=MODEL, messages=HELLO, outputConfig=structured(PERSON), inferenceConfig=hot())
        assert answer["stopReason"] == "end_turn"
        assert fits(answer["output"]["message"]["content"][0]["text"], PERSON)
        stream = runtime.converse_stream(
            modelId=MODEL, messages=HELLO, outputConfig=structured(PERSON), inferenceConfig=hot()
        )["stream"]
        reason, (block,) = blocks_of(stream)
        assert reason == "end_turn"
        assert fits(block["text"], PERSON)


@pytest.mark.parametrize("choice", [{"any": {}}, {"tool": {"name": "save"}}], ids=["any", "tool"])
def test_a_call_that_must_happen(runtime: Any, choice: Any) -> None:
    asked = {
        "modelId": MODEL,
        "messages": HELLO,
        "toolConfig": {"tools": [tool(PERSON, strict=True), tool({"type": "object"}, "other")], "toolChoice": choice},
        "inferenceConfig": hot(),
    }
    for _ in range(5):
        answer = runtime.converse(**asked)
        assert answer["stopReason"] in ("tool_use", "max_tokens")
        if answer["stopReason"] == "tool_use":
            (block,) = answer["output"]["message"]["content"]
            call = block["toolUse"]
            assert call["name"] == "save" or ("any" in choice and call["name"] == "other")
            assert call["name"] == "other" or fits(json.dumps(call["input"]), PERSON)
        reason, blocks = blocks_of(runtime.converse_stream(**asked)["stream"])
        assert reason in ("tool_use", "max_tokens")
        if reason == "tool_use":
            assert [block["name"] in ("save", "other") for block in blocks] == [True]
            assert blocks[0]["name"] == "other" or fits(blocks[0]["text"], PERSON)


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "save"}], ids=["any", "tool"])
def test_claudes_body(runtime: Any, choice: Any) -> None:
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 400,
        "temperature": 1,
        "messages": [{"role": "user", "content": "Hello"}],
        "tools": [{"name": "save", "description": "d", "input_schema": PERSON}],
        "tool_choice": choice,
    }
    for _ in range(3):
        answer = json.loads(runtime.invoke_model(modelId=CLAUDE, body=json.dumps(body))["body"].read())
        assert answer["stop_reason"] == "tool_use"
        (block,) = answer["content"]
        assert block["name"] == "save"
        assert fits(json.dumps(block["input"]), PERSON)
        streamed = runtime.invoke_model_with_response_stream(modelId=CLAUDE, body=json.dumps(body))["body"]
        events = [json.loads(event["chunk"]["bytes"]) for event in streamed]
        pieces = [event["delta"]["partial_json"] for event in events if event["type"] == "content_block_delta"]
        assert fits("".join(pieces), PERSON)
        assert next(event for event in events if event["type"] == "message_delta")["delta"]["stop_reason"] == "tool_use"


def test_claudes_output_format(runtime: Any) -> None:
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 400,
        "messages": [{"role": "user", "content": "Hello"}],
        "output_config": {"format": {"type": "json_schema", "schema": PERSON}},
    }
    answer = json.loads(runtime.invoke_model(modelId=CLAUDE, body=json.dumps(body))["body"].read())
    assert answer["stop_reason"] == "end_turn"
    assert fits(answer["content"][0]["text"], PERSON)


def test_random_schemas_and_tools(runtime: Any) -> None:
    whole = 0

    @given(schemas(), tool_schemas(), st.booleans())
    @asking(25)
    def holds(schema: Any, arguments: Any, streamed: bool) -> None:
        nonlocal whole
        asked = {"modelId": MODEL, "messages": HELLO, "inferenceConfig": hot(150)}
        for extra, judged in (
            ({"outputConfig": structured(schema)}, schema),
            ({"toolConfig": {"tools": [tool(arguments, strict=True)], "toolChoice": {"any": {}}}}, arguments),
        ):
            try:
                if streamed:
                    reason, blocks = blocks_of(runtime.converse_stream(**asked, **extra)["stream"])
                    text = "".join(block["text"] for block in blocks)
                else:
                    answer = runtime.converse(**asked, **extra)
                    reason = answer["stopReason"]
                    (block,) = answer["output"]["message"]["content"] or [{"text": ""}]
                    text = block["text"] if "text" in block else json.dumps(block["toolUse"]["input"])
            except runtime.exceptions.ValidationException:
                continue
            assert reason in ("end_turn", "tool_use", "max_tokens")
            if reason != "max_tokens":
                whole += 1
                assert fits(text, judged), (judged, text)

    holds()
    assert whole > 10


def test_what_is_cut_says_so(runtime: Any) -> None:
    for extra in (
        {"outputConfig": structured(PERSON)},
        {"toolConfig": {"tools": [tool(PERSON, strict=True)], "toolChoice": {"any": {}}}},
        {"toolConfig": {"tools": [tool(PERSON, strict=True)]}, "outputConfig": structured(PERSON)},
    ):
        asked = {"modelId": MODEL, "messages": HELLO, "inferenceConfig": hot(6), **extra}
        answer = runtime.converse(**asked)
        assert answer["stopReason"] == "max_tokens"
        assert answer["usage"]["outputTokens"] == 6
        assert blocks_of(runtime.converse_stream(**asked)["stream"])[0] == "max_tokens"


NOT_B: dict[str, Any] = {"type": "object", "properties": {"a": {"not": {"const": "b"}, "type": "string"}}}
NEVER: dict[str, Any] = {"type": "object", "properties": {}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"outputConfig": structured({"type": "string", "maxLength": 5})}, "'maxLength' is not supported"),
        ({"outputConfig": structured({"not": {}})}, "'not' is not supported"),
        ({"outputConfig": structured(NEVER)}, "No value can fit"),
        ({"outputConfig": structured({"format": "date", "allOf": [{"format": "uuid"}], "type": "string"})}, "cannot be enforced"),
        ({"toolConfig": {"tools": [tool({"type": "object", "minProperties": 1}, strict=True)]}}, "'minProperties' is not"),
        ({"toolConfig": {"tools": [tool(NEVER)], "toolChoice": {"any": {}}}}, "No value can fit"),
        ({"toolConfig": {"tools": [tool(NOT_B)], "toolChoice": {"any": {}}}}, "'not' cannot be enforced"),
    ],
)  # fmt: skip
def test_what_cannot_be_held_is_refused(runtime: Any, extra: Any, words: str) -> None:
    for operation in (runtime.converse, runtime.converse_stream):
        with pytest.raises(ClientError, match=words) as caught:
            operation(modelId=MODEL, messages=HELLO, **extra)
        assert caught.value.response["Error"]["Code"] == "ValidationException"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_a_tool_that_promises_nothing_may_say_anything(runtime: Any) -> None:
    """As on Bedrock: a schema that nothing is held to is not refused."""
    odd = {"type": "object", "properties": {"a": {"type": "array", "uniqueItems": True}, "b": {"not": {"const": "b"}}}}
    answer = runtime.converse(modelId=MODEL, messages=HELLO, toolConfig={"tools": [tool(odd)]}, inferenceConfig=hot(20))
    assert answer["stopReason"] in ("end_turn", "tool_use", "max_tokens")
