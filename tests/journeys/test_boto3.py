"""An unmodified boto3 application."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

import boto3
import jsonschema
import pytest
from aws_bedrock_token_generator import BedrockTokenGenerator
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from tests.journeys.conversation import MODEL, PERSON_SCHEMA, QUESTION, WEATHER, WEATHER_SCHEMA, json_output, user
from tests.live import Server


def client(server: Server, service: str, **changes: Any) -> Any:
    environment = server.environment
    session = boto3.Session(
        aws_access_key_id=changes.pop("key", environment["AWS_ACCESS_KEY_ID"]),
        aws_secret_access_key=changes.pop("secret", environment["AWS_SECRET_ACCESS_KEY"]),
        region_name=environment["AWS_REGION"],
    )
    return session.client(
        service,
        endpoint_url=server.url,
        verify=environment.get("AWS_CA_BUNDLE", True),
        config=Config(retries={"total_max_attempts": 1}, **changes),
    )


def test_lists_the_house_model(server: Server) -> None:
    models = client(server, "bedrock").list_foundation_models()["modelSummaries"]
    shipped = next(model for model in models if model["modelId"] == MODEL)
    assert shipped["providerName"] == "Outcrop"
    assert shipped["responseStreamingSupported"] is True


def test_converses(server: Server) -> None:
    answer = client(server, "bedrock-runtime").converse(
        modelId=MODEL, messages=[user(QUESTION)], inferenceConfig={"temperature": 0, "maxTokens": 60}
    )
    assert answer["output"]["message"]["role"] == "assistant"
    assert answer["output"]["message"]["content"][0]["text"].strip()
    usage = answer["usage"]
    assert usage["outputTokens"] > 0
    assert usage["inputTokens"] + usage.get("cacheReadInputTokens", 0) > 0
    assert isinstance(answer["metrics"]["latencyMs"], int)


def test_the_stream_says_what_the_answer_says(server: Server) -> None:
    runtime = client(server, "bedrock-runtime")
    request: dict[str, Any] = {
        "modelId": MODEL, "messages": [user("Count from one to five.")], "inferenceConfig": {"temperature": 0, "maxTokens": 60},
    }  # fmt: skip
    whole = runtime.converse(**request)["output"]["message"]["content"][0]["text"]
    events = list(runtime.converse_stream(**request)["stream"])
    pieces = [event["contentBlockDelta"]["delta"]["text"] for event in events if "contentBlockDelta" in event]
    assert "".join(pieces) == whole
    assert [next(iter(event)) for event in (events[0], events[-2], events[-1])] == [
        "messageStart",
        "messageStop",
        "metadata",
    ]


@pytest.mark.parametrize("choice", [{"any": {}}, {"tool": {"name": "get_weather"}}])
def test_calls_a_tool_when_it_must(server: Server, choice: Mapping[str, Any]) -> None:
    answer = client(server, "bedrock-runtime").converse(
        modelId=MODEL,
        messages=[user("What is the weather in Paris?")],
        toolConfig={"tools": [WEATHER], "toolChoice": choice},
        inferenceConfig={"temperature": 0, "maxTokens": 120},
    )
    assert answer["stopReason"] == "tool_use"
    call = next(block["toolUse"] for block in answer["output"]["message"]["content"] if "toolUse" in block)
    assert call["name"] == "get_weather"
    jsonschema.validate(call["input"], WEATHER_SCHEMA)


def test_calls_a_tool_of_its_own_accord_and_uses_the_result(server: Server) -> None:
    runtime = client(server, "bedrock-runtime")
    messages = [user("What is the weather in Paris?")]
    configuration = {"toolConfig": {"tools": [WEATHER]}, "inferenceConfig": {"temperature": 0, "maxTokens": 120}}
    asked = runtime.converse(modelId=MODEL, messages=messages, **configuration)
    assert asked["stopReason"] == "tool_use"
    calls = [block["toolUse"] for block in asked["output"]["message"]["content"] if "toolUse" in block]
    results = [
        {"toolResult": {"toolUseId": call["toolUseId"], "content": [{"json": {"temperature": 18}}]}} for call in calls
    ]
    messages += [asked["output"]["message"], {"role": "user", "content": results}]
    answer = runtime.converse(modelId=MODEL, messages=messages, **configuration)
    assert answer["output"]["message"]["content"]


def test_streams_a_tool_call_in_fragments(server: Server) -> None:
    events = list(
        client(server, "bedrock-runtime").converse_stream(
            modelId=MODEL,
            messages=[user("What is the weather in Paris?")],
            toolConfig={"tools": [WEATHER], "toolChoice": {"tool": {"name": "get_weather"}}},
            inferenceConfig={"temperature": 0, "maxTokens": 120},
        )["stream"]
    )
    fragments = [e["contentBlockDelta"]["delta"]["toolUse"]["input"] for e in events if "contentBlockDelta" in e]
    jsonschema.validate(json.loads("".join(fragments)), WEATHER_SCHEMA)


def test_answers_with_json_that_fits_the_schema(server: Server) -> None:
    answer = client(server, "bedrock-runtime").converse(
        modelId=MODEL,
        messages=[user("Extract the name and age: Maria is 34 years old.")],
        outputConfig=json_output(PERSON_SCHEMA),
        inferenceConfig={"temperature": 0, "maxTokens": 200},
    )
    jsonschema.validate(json.loads(answer["output"]["message"]["content"][0]["text"]), PERSON_SCHEMA)


def test_counts_what_a_conversation_would_cost(server: Server) -> None:
    runtime = client(server, "bedrock-runtime")
    counted = runtime.count_tokens(modelId=MODEL, input={"converse": {"messages": [user(QUESTION)]}})["inputTokens"]
    usage = runtime.converse(modelId=MODEL, messages=[user(QUESTION)], inferenceConfig={"maxTokens": 1})["usage"]
    assert counted == usage["inputTokens"] + usage.get("cacheReadInputTokens", 0) + usage.get(
        "cacheWriteInputTokens", 0
    )


def test_reads_a_document(server: Server) -> None:
    content = [
        {"text": "What does the note say?"},
        {"document": {"format": "txt", "name": "note", "source": {"bytes": b"The meeting is on Monday."}}},
    ]
    answer = client(server, "bedrock-runtime").converse(
        modelId=MODEL, messages=[{"role": "user", "content": content}], inferenceConfig={"maxTokens": 20}
    )
    assert answer["usage"]["totalTokens"] > 10


@pytest.mark.parametrize(
    ("change", "code", "status"),
    [
        ({"modelId": "nobody.nothing-v1:0"}, "ValidationException", 400),
        ({"messages": [{"role": "assistant", "content": [{"text": "Hi"}]}, user("x"), user("y")]}, "ValidationException", 400),
        ({"guardrailConfig": {"guardrailIdentifier": "abc123", "guardrailVersion": "1"}}, "ValidationException", 400),
        ({"messages": [user("word " * 9000)]}, "ValidationException", 400),
    ],
)  # fmt: skip
def test_refuses_as_bedrock_does(server: Server, change: Mapping[str, Any], code: str, status: int) -> None:
    request = {"modelId": MODEL, "messages": [user(QUESTION)], **change}
    with pytest.raises(ClientError) as caught:
        client(server, "bedrock-runtime").converse(**request)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert caught.value.response["ResponseMetadata"]["RequestId"]


def test_a_wrong_secret_and_an_unknown_key_are_told_apart(server: Server) -> None:
    with pytest.raises(ClientError) as wrong:
        client(server, "bedrock", secret="not-the-secret").list_foundation_models()
    assert wrong.value.response["Error"]["Code"] == "InvalidSignatureException"
    with pytest.raises(ClientError) as unknown:
        client(server, "bedrock", key="AKIAIOSFODNN7EXAMPLE").list_foundation_models()
    assert unknown.value.response["Error"]["Code"] == "UnrecognizedClientException"


def test_what_is_not_built_says_so(server: Server) -> None:
    with pytest.raises(ClientError) as caught:
        client(server, "bedrock-agent").list_flows()
    assert "not built" in caught.value.response["Error"]["Message"]


def test_an_inference_profile_lives_through_its_life(server: Server) -> None:
    bedrock, runtime = client(server, "bedrock"), client(server, "bedrock-runtime")
    source = f"arn:aws:bedrock:us-east-1::foundation-model/{MODEL}"
    made = bedrock.create_inference_profile(
        inferenceProfileName="journey", modelSource={"copyFrom": source}, tags=[{"key": "team", "value": "blue"}]
    )
    arn = made["inferenceProfileArn"]
    assert bedrock.list_tags_for_resource(resourceARN=arn)["tags"] == [{"key": "team", "value": "blue"}]
    answer = runtime.converse(modelId=arn, messages=[user(QUESTION)], inferenceConfig={"maxTokens": 3})
    assert answer["usage"]["outputTokens"] <= 3
    assert arn in [
        p["inferenceProfileArn"]
        for p in bedrock.list_inference_profiles(typeEquals="APPLICATION")["inferenceProfileSummaries"]
    ]
    bedrock.delete_inference_profile(inferenceProfileIdentifier=arn)
    with pytest.raises(ClientError):
        bedrock.get_inference_profile(inferenceProfileIdentifier=arn)


def test_api_keys_work_over_tls(tls_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    made = subprocess.run(
        [sys.executable, "-m", "outcrop", "keys", "create", "--api-key", "--json"],
        env=dict(tls_server.environment), check=True, capture_output=True, text=True,
    )  # fmt: skip
    long_term = json.loads(made.stdout)["ServiceApiKeyValue"]
    keys = Credentials(tls_server.environment["AWS_ACCESS_KEY_ID"], tls_server.environment["AWS_SECRET_ACCESS_KEY"])
    short_term = BedrockTokenGenerator().get_token(keys, tls_server.environment["AWS_REGION"])
    assert base64.b64decode(long_term.removeprefix("ABSK"))
    for key in (long_term, short_term):
        monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", key)
        assert client(tls_server, "bedrock").list_foundation_models()["modelSummaries"]
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", long_term[:-4] + "AAAA")
    with pytest.raises(ClientError) as caught:
        client(tls_server, "bedrock").list_foundation_models()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_an_abandoned_stream_frees_the_engine(server: Server) -> None:
    """Four slots: were abandoned generations to run on, the eighth would wait for the first to end."""
    runtime = client(server, "bedrock-runtime")
    for _ in range(8):
        stream = runtime.converse_stream(
            modelId=MODEL,
            messages=[user("Tell me a very long story.")],
            inferenceConfig={"maxTokens": 1500, "temperature": 1},
        )["stream"]
        next(iter(stream))
        stream.close()
    started = time.monotonic()
    runtime.converse(modelId=MODEL, messages=[user("Hello")], inferenceConfig={"maxTokens": 2})
    assert time.monotonic() - started < 60, "an answer of two tokens did not come within a minute"
