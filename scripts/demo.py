"""Plain boto3 against whatever AWS_ENDPOINT_URL_BEDROCK* names: nothing in this file knows Outcrop but the model's id."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import boto3

MODEL = "outcrop.house-nano-v1:0"
WEATHER = {
    "toolSpec": {
        "name": "get_weather",
        "description": "Get the current weather for a city",
        "inputSchema": {
            "json": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}

bedrock = boto3.client("bedrock")
runtime = boto3.client("bedrock-runtime")


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": [{"text": text}]}


def show(title: str, run: Callable[[], tuple[str, Mapping[str, int] | None]]) -> None:
    started = time.perf_counter()
    answer, usage = run()
    elapsed = (time.perf_counter() - started) * 1000
    tokens = f"{usage['inputTokens']} tokens in, {usage['outputTokens']} out, " if usage else ""
    print(f"\n== {title}  ({tokens}{elapsed:.0f} ms)\n{answer}")


def models() -> tuple[str, None]:
    rows = bedrock.list_foundation_models()["modelSummaries"]
    return "\n".join(f"{row['modelId']}  by {row['providerName']}, {row['inputModalities']}" for row in rows), None


def converse() -> tuple[str, Mapping[str, int]]:
    answer = runtime.converse(modelId=MODEL, messages=[user("What is Outcrop?")], inferenceConfig={"temperature": 0})
    return answer["output"]["message"]["content"][0]["text"], answer["usage"]


def stream() -> tuple[str, Mapping[str, int]]:
    pieces: list[str] = []
    usage: Mapping[str, int] = {}
    answer = runtime.converse_stream(
        modelId=MODEL,
        messages=[user("Write a Python function that returns the square of a number.")],
        inferenceConfig={"temperature": 0, "maxTokens": 120},
    )
    for event in answer["stream"]:
        if "contentBlockDelta" in event:
            pieces.append(event["contentBlockDelta"]["delta"]["text"])
        elif "metadata" in event:
            usage = event["metadata"]["usage"]
    return f"{''.join(pieces)}\n[{len(pieces)} pieces]", usage


def tool() -> tuple[str, Mapping[str, int]]:
    messages = [user("What is the weather in Paris?")]
    asked = runtime.converse(
        modelId=MODEL, messages=messages, toolConfig={"tools": [WEATHER]}, inferenceConfig={"temperature": 0}
    )
    message = asked["output"]["message"]
    calls = [block["toolUse"] for block in message["content"] if "toolUse" in block]
    shown = [f"{asked['stopReason']}: {call['name']}({json.dumps(call['input'])})" for call in calls]
    results = [
        {"toolResult": {"toolUseId": call["toolUseId"], "content": [{"json": {"temperature": 18, "sky": "sunny"}}]}}
        for call in calls
    ]
    answer = runtime.converse(
        modelId=MODEL,
        messages=[*messages, message, {"role": "user", "content": results}],
        toolConfig={"tools": [WEATHER]},
        inferenceConfig={"temperature": 0},
    )
    final = " ".join(block.get("text", "") for block in answer["output"]["message"]["content"])
    return "\n".join([*shown, final]), answer["usage"]


def schema() -> tuple[str, Mapping[str, int]]:
    answer = runtime.converse(
        modelId=MODEL,
        messages=[user("Extract the name and age: Maria is 34 years old.")],
        inferenceConfig={"temperature": 0},
        outputConfig={
            "textFormat": {
                "type": "json_schema",
                "structure": {"jsonSchema": {"name": "person", "schema": json.dumps(PERSON)}},
            }
        },
    )
    return json.dumps(json.loads(answer["output"]["message"]["content"][0]["text"])), answer["usage"]


show("ListFoundationModels", models)
show("Converse", converse)
show("ConverseStream", stream)
show("A tool call and its answer", tool)
show("JSON held to a schema", schema)
