"""A caller's SDK, our server, and a second Outcrop behind it: the caller cannot tell which of the two it speaks to."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import orjson
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from tests.engines.upstream.server import new_api_key
from tests.live import Server, serve

MODEL = "anthropic.claude-x-v1:0"
FAILURES = ("failed", "busy", "timeout", "overflow", "invalid")
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000000000500010d0a2db40000000049454e44ae426082"
)
CALL = {"name": "get_weather", "arguments": {"city": "Oslo"}}
SCRIPT = {
    "rules": [
        *(
            {
                "contains": f"{kind} within",
                "text": "one two three",
                "error": {"kind": kind, "message": "In the middle.", "after_deltas": 2},
            }
            for kind in FAILURES
        ),
        *({"contains": f"{kind} before", "error": {"kind": kind, "message": "At once."}} for kind in FAILURES),
        {"after_tool_result": True, "text": "It rains in Oslo."},
        {"contains": "weather", "reasoning": "A tool knows.", "text": "I look.", "tool_calls": [CALL]},
        {"contains": "slowly", "text": "word " * 400, "delta_delay_ms": 50},
        {"contains": "cached", "text": "Yes.", "cached_tokens": 1},
        {"contains": "count", "text": "one two END three"},
        {"contains": "extract", "text": '{"name": "Maria"}'},
    ]
}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS: Any = {"tools": [{"toolSpec": {"name": "get_weather", "description": "d", "inputSchema": {"json": CITY}}}]}
NAME = {
    "type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"], "additionalProperties": False,
}  # fmt: skip
JSON = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": json.dumps(NAME)}}}}


def model(**more: object) -> str:
    lines = ["house_model = false", "[[models]]", f'id = "{MODEL}"']
    return "\n".join([*lines, *(f"{name} = {json.dumps(value)}" for name, value in more.items())])


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("theirs")
    (home / "script.json").write_bytes(orjson.dumps(SCRIPT))
    with serve(home, settings=model(engine="scripted", script=str(home / "script.json"))) as server:
        yield server


NOVA = "amazon.nova-lite-v1:0"


def behind(theirs: Server, home: Path, **changes: object) -> Any:
    keys = {name: theirs.environment[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    given = {"engine": "bedrock", "url": theirs.url, "region": "eu-west-1", "images": True, "context_tokens": 8192}
    aliases = f'\n[aliases]\n"{NOVA}" = "{MODEL}"\n'
    return serve(home, settings=model(**{**given, **changes}) + aliases, more=keys)


@pytest.fixture(scope="module")
def ours(theirs: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with behind(theirs, tmp_path_factory.mktemp("ours")) as server:
        yield server


def client(server: Server) -> Any:
    return boto3.client(
        "bedrock-runtime", endpoint_url=server.url, region_name="us-east-1",
        aws_access_key_id=server.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=server.environment["AWS_SECRET_ACCESS_KEY"], config=Config(retries={"total_max_attempts": 1}),
    )  # fmt: skip


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"text": part} if isinstance(part, str) else part for part in content]}


def asked(**changes: Any) -> dict[str, Any]:
    return {"modelId": MODEL, "inferenceConfig": {"maxTokens": 60}, **changes}


def converse(server: Server, **changes: Any) -> dict[str, Any]:
    answer: dict[str, Any] = client(server).converse(**asked(**changes))
    return answer


def shown(answer: dict[str, Any]) -> dict[str, Any]:
    """Without what differs from answer to answer."""
    content = [dict(block) for block in answer["output"]["message"]["content"]]
    for block in content:
        if "toolUse" in block:
            block["toolUse"] = {**block["toolUse"], "toolUseId": "?"}
        if "reasoningContent" in block:
            block["reasoningContent"] = block["reasoningContent"]["reasoningText"]["text"]
    more = {name: answer.get(name) for name in ("stopReason", "usage", "additionalModelResponseFields")}
    return {"content": content, **more}


REQUESTS: list[dict[str, Any]] = [
    {"messages": [user("Hello")], "system": [{"text": "Be brief."}]},
    {
        "messages": [user("count")],
        "inferenceConfig": {"maxTokens": 60, "stopSequences": ["END"]},
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
    },
    {"messages": [user("count")], "inferenceConfig": {"maxTokens": 2, "temperature": 0.5, "topP": 0.5}},
    {"messages": [user("What is the weather?")], "toolConfig": TOOLS},
    {"messages": [user("Hello")], "toolConfig": {**TOOLS, "toolChoice": {"any": {}}}},
    {"messages": [user("cached?")]},
    {"messages": [user("See", {"image": {"format": "png", "source": {"bytes": PNG}}})]},
    {"messages": [user("Hello"), {"role": "assistant", "content": [{"text": "Well,"}]}]},
    {"messages": [user("extract")], "outputConfig": JSON},
    {"messages": [user("Hello")], "additionalModelRequestFields": {"top_k": 5, "seed": 7}},
]


@pytest.mark.parametrize("request_", REQUESTS, ids=range(len(REQUESTS)))
def test_answers_are_the_same(theirs: Server, ours: Server, request_: dict[str, Any]) -> None:
    assert shown(converse(ours, **request_)) == shown(converse(theirs, **request_))


def streamed(server: Server, **changes: Any) -> list[dict[str, Any]]:
    """Events without what differs from answer to answer, pieces of a block joined."""
    said: list[dict[str, Any]] = []
    for event in client(server).converse_stream(**asked(**changes))["stream"]:
        kind, inner = next(iter(event.items()))
        if kind == "contentBlockDelta":
            piece, value = next(iter(inner["delta"].items()))
            value = (
                value.get("text", "")
                if piece == "reasoningContent"
                else value.get("input")
                if piece == "toolUse"
                else value
            )
            if said and said[-1].get("piece") == (piece, inner["contentBlockIndex"]):
                said[-1]["value"] += value
            else:
                said.append({"piece": (piece, inner["contentBlockIndex"]), "value": value})
        elif kind == "contentBlockStart":
            said.append({"start": inner["start"]["toolUse"]["name"]})
        else:
            said.append({kind: inner.get("usage", inner)})
    return said


@pytest.mark.parametrize("request_", REQUESTS, ids=range(len(REQUESTS)))
def test_streams_are_the_same(theirs: Server, ours: Server, request_: dict[str, Any]) -> None:
    assert streamed(ours, **request_) == streamed(theirs, **request_)


def test_a_tool_loop_with_reasoning_that_the_upstream_signed(theirs: Server, ours: Server) -> None:
    first = converse(ours, messages=[user("What is the weather?")], toolConfig=TOOLS)
    message = first["output"]["message"]
    signature = message["content"][0]["reasoningContent"]["reasoningText"]["signature"]
    call = message["content"][-1]["toolUse"]
    result = user({"toolResult": {"toolUseId": call["toolUseId"], "content": [{"text": "rain"}]}})
    turns = [user("What is the weather?"), message, result]
    assert converse(ours, messages=turns, toolConfig=TOOLS)["output"]["message"]["content"] == [
        {"text": "It rains in Oslo."}
    ]
    # Their part is theirs: the upstream checks it, and does not take ours around it.
    message["content"][0]["reasoningContent"]["reasoningText"]["signature"] = signature.partition(".")[2]
    assert converse(theirs, messages=turns, toolConfig=TOOLS)["stopReason"] == "end_turn"
    for server, wrong in ((theirs, signature), (ours, signature.partition(".")[2])):
        message["content"][0]["reasoningContent"]["reasoningText"]["signature"] = wrong
        with pytest.raises(ClientError, match="Invalid `signature`"):
            converse(server, messages=turns, toolConfig=TOOLS)


def test_counting_is_the_same(theirs: Server, ours: Server) -> None:
    counted = {"converse": {"messages": [user("one two three")], "toolConfig": TOOLS}}
    counts = [client(server).count_tokens(modelId=MODEL, input=counted)["inputTokens"] for server in (theirs, ours)]
    assert counts[0] == counts[1] > 0


def test_a_caller_who_goes_away_frees_the_upstream(theirs: Server, ours: Server) -> None:
    stream = client(ours).converse_stream(**asked(messages=[user("slowly")], inferenceConfig={"maxTokens": 400}))[
        "stream"
    ]
    for event in stream:
        if "contentBlockDelta" in event:
            break
    stream.close()
    for _ in range(200):
        if "ClientDisconnected" in theirs.log:
            break
        time.sleep(0.05)
    assert "ClientDisconnected" in theirs.log


def native(words: str) -> bytes:
    return orjson.dumps(
        {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 60, "messages": [user(words)]}
    ).replace(b'{"text":', b'{"type":"text","text":')


def invoked(server: Server, model: str, body: bytes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The answer whole, and its chunks."""
    runtime = client(server)
    whole = runtime.invoke_model(modelId=model, body=body)["body"].read()
    events = runtime.invoke_model_with_response_stream(modelId=model, body=body)["body"]
    return orjson.loads(whole), [orjson.loads(event["chunk"]["bytes"]) for event in events]


def test_native_bodies_pass_through_with_what_only_the_upstream_knows(theirs: Server, ours: Server) -> None:
    """The upstream's own name for the model is in the answer; ours would be in one that we wrote."""
    for server in (theirs, ours):
        whole, chunks = invoked(server, MODEL, native("Hello"))
        assert whole["content"] == [{"type": "text", "text": "Hello"}]
        assert chunks[0]["message"]["model"] == whole["model"]
        assert chunks[-1]["amazon-bedrock-invocationMetrics"]["outputTokenCount"] == 1


def test_the_body_of_another_family_is_translated(ours: Server) -> None:
    """An alias gives the upstream's Claude the name of a Nova."""
    whole, chunks = invoked(ours, NOVA, orjson.dumps({"messages": [user("Hello")]}))
    assert whole["output"]["message"]["content"] == [{"text": "Hello"}]
    assert "messageStart" in chunks[0]


def test_which_of_several_engines_answered_is_told(theirs: Server, tmp_path: Path) -> None:
    keys = {name: theirs.environment[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    settings = f"""
house_model = false
[[models]]
id = "{MODEL}"
[[models.engines]]
name = "away"
engine = "bedrock"
url = "http://127.0.0.1:9"
region = "eu-west-1"
[[models.engines]]
name = "there"
engine = "bedrock"
url = "{theirs.url}"
region = "eu-west-1"
context_tokens = 8192
fallback = true
"""
    with serve(tmp_path / "home", settings=settings, more=keys) as server:
        for _ in range(2):
            answers = (
                converse(server, messages=[user("Hello")]),
                client(server).invoke_model(modelId=MODEL, body=native("Hello")),
                client(server).converse_stream(**asked(messages=[user("Hello")])),
            )
            for answer in answers:
                assert answer["ResponseMetadata"]["HTTPHeaders"]["x-outcrop-engine"] == "there"
        assert server.log.count("engine away did not answer (failed)") == 1
        for operation in OPERATIONS:
            assert refused(server, "busy before", operation) == refused(theirs, "busy before", operation)


def run(server: Server, words: str, operation: str) -> None:
    runtime = client(server)
    given = (
        {"modelId": MODEL, "body": native(words)} if operation.startswith("invoke") else asked(messages=[user(words)])
    )
    answer = getattr(runtime, operation)(**given)
    if operation.endswith("stream"):
        list(answer["stream"] if "stream" in answer else answer["body"])


def refused(server: Server, words: str, operation: str) -> tuple[Any, ...]:
    """Everything that a caller sees of an error."""
    with pytest.raises((ClientError, EventStreamError)) as caught:
        run(server, words, operation)
    response = caught.value.response
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return response["Error"]["Code"], status, response["Error"]["Message"]


OPERATIONS = ("converse", "converse_stream", "invoke_model", "invoke_model_with_response_stream")


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("when", ["before", "within"])
@pytest.mark.parametrize("kind", FAILURES)
def test_errors_are_the_same(theirs: Server, ours: Server, kind: str, when: str, operation: str) -> None:
    expected = refused(theirs, f"{kind} {when}", operation)
    assert refused(ours, f"{kind} {when}", operation) in (expected, *_lost(kind, when, operation, expected))


def _lost(kind: str, when: str, operation: str, expected: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """What Converse, streamed, has no word for: a timeout in the middle, and by how much a prompt is too long."""
    code, status, _ = expected
    if (kind, when) == ("timeout", "within") and operation != "converse_stream":
        return [("ModelErrorException", 424, "In the middle."), ("modelStreamErrorException", None, "In the middle.")]
    too_long = "Input is too long for requested model."
    return [(code, status, too_long)] if kind == "overflow" and operation.startswith("invoke") else []


def test_an_operator_with_wrong_keys_is_not_a_caller_with_wrong_keys(theirs: Server, tmp_path: Path) -> None:
    wrong = {"AWS_ACCESS_KEY_ID": theirs.environment["AWS_ACCESS_KEY_ID"], "AWS_SECRET_ACCESS_KEY": "wrong"}
    settings = model(engine="bedrock", url=theirs.url, region="eu-west-1")
    with serve(tmp_path / "home", settings=settings, more=wrong) as server:
        for operation in ("converse", "converse_stream"):
            code, status, message = refused(server, "Hello", operation)
            assert (code, status) == ("AccessDeniedException", 403)
            assert message == f"The upstream of {MODEL} refused Outcrop's own credentials."
        assert "InvalidSignatureException" in server.log
        assert wrong["AWS_ACCESS_KEY_ID"] not in server.log


def test_a_key_of_bedrock_and_an_upstream_without_the_model(theirs: Server, tmp_path: Path) -> None:
    """The bearer key travels over cleartext on loopback, and is accepted there."""
    made = new_api_key(theirs)
    with serve(
        tmp_path / "home",
        settings=model(engine="bedrock", url=theirs.url, region="eu-west-1", api_key_env="THEIR_KEY", model="nobody.x"),
        more={"THEIR_KEY": made},
    ) as server:
        code, status, message = refused(server, "Hello", "converse")
        assert (code, status) == ("ResourceNotFoundException", 404)
        assert message == f"The upstream of {MODEL} does not have the model."
        assert "The provided model identifier is invalid" in server.log
        assert made not in server.log


def test_an_upstream_that_is_away(theirs: Server, tmp_path: Path) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "x"}
    settings = model(engine="bedrock", url="http://127.0.0.1:9", region="eu-west-1")
    with serve(tmp_path / "home", settings=settings, more=keys) as server:
        assert refused(server, "Hello", "converse") == (
            "ModelErrorException", 424, f"The upstream of {MODEL} cannot be reached.",
        )  # fmt: skip
