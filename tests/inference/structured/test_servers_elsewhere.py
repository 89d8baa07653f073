"""A model behind a server that takes a schema and does not hold to it: an error, never a silently wrong answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import orjson
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from outcrop.request import HttpRequest
from tests.conformance.loopback import Answer, answering
from tests.live import serve

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
MODEL = "theirs.weak-v1:0"


class Weak:
    """Says `deltas` to everything."""

    def __init__(self) -> None:
        self.deltas: list[dict[str, Any]] = []
        self.reason = "stop"

    def __call__(self, request: HttpRequest) -> Answer:
        if request.raw_path.endswith("/models"):
            return 200, [], orjson.dumps({"data": [{"id": "m"}]})
        chunks: list[Any] = [{"choices": [{"delta": delta}]} for delta in self.deltas]
        chunks.append({"choices": [{"delta": {}, "finish_reason": self.reason}]})
        lines = [b"data: " + orjson.dumps(chunk) for chunk in chunks]
        return 200, [("content-type", "text/event-stream")], b"\n\n".join([*lines, b"data: [DONE]", b""])

    def calls(self, arguments: str, name: str = "count") -> None:
        self.deltas = [{"tool_calls": [{"index": 0, "id": "c", "function": {"name": name, "arguments": arguments}}]}]


@pytest.fixture(scope="module")
def weak(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Weak, Any]]:
    theirs = Weak()
    with answering(theirs) as url:
        settings = f'[[models]]\nid = "{MODEL}"\nengine = "openai"\nurl = "{url}/v1"\nmodel = "m"\n'
        with serve(tmp_path_factory.mktemp("home"), settings=settings) as server:
            environment = server.environment
            yield (
                theirs,
                boto3.client(
                    "bedrock-runtime",
                    region_name=environment["AWS_REGION"],
                    endpoint_url=environment["AWS_ENDPOINT_URL_BEDROCK_RUNTIME"],
                    aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
                    aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
                    config=Config(retries={"total_max_attempts": 1}),
                ),
            )


def asked(**more: Any) -> dict[str, Any]:
    return {"modelId": MODEL, "messages": [{"role": "user", "content": [{"text": "Hi"}]}], **more}


TOOLS = {"tools": [{"toolSpec": {"name": "count", "strict": True, "inputSchema": {"json": SCHEMA}}}]}
STRUCTURED = {
    "textFormat": {"type": "json_schema", "structure": {"jsonSchema": {"schema": orjson.dumps(SCHEMA).decode()}}}
}


def test_what_fits_is_handed_on(weak: tuple[Weak, Any]) -> None:
    theirs, runtime = weak
    theirs.deltas = [{"content": '{"n":'}, {"content": " 3}"}]
    answer = runtime.converse(**asked(outputConfig=STRUCTURED))
    assert answer["output"]["message"]["content"] == [{"text": '{"n": 3}'}]
    theirs.calls('{"n": 4}')
    answer = runtime.converse(**asked(toolConfig={**TOOLS, "toolChoice": {"any": {}}}))
    assert answer["output"]["message"]["content"][0]["toolUse"]["input"] == {"n": 4}


def test_what_does_not_is_an_error(weak: tuple[Weak, Any]) -> None:
    theirs, runtime = weak
    theirs.deltas = [{"content": '{"n": '}, {"content": '"three"}'}]
    with pytest.raises(ClientError, match="does not fit the JSON schema: at /n") as caught:
        runtime.converse(**asked(outputConfig=STRUCTURED))
    assert caught.value.response["Error"]["Code"] == "ModelErrorException"
    with pytest.raises(EventStreamError, match=r"modelStreamErrorException.*does not fit the JSON schema"):
        list(runtime.converse_stream(**asked(outputConfig=STRUCTURED))["stream"])


@pytest.mark.parametrize(
    ("arguments", "choice", "words"),
    [
        ('{"n": null}', {"auto": {}}, "call of count does not fit"),
        ('{"n": null}', {"any": {}}, "call of count does not fit"),
        ("{}", {"tool": {"name": "count"}}, "call of count does not fit"),
        (None, {"any": {}}, "did not call a tool"),
        (None, {"tool": {"name": "count"}}, "did not call a tool"),
    ],
)
def test_calls_that_do_not_fit(weak: tuple[Weak, Any], arguments: str | None, choice: Any, words: str) -> None:
    theirs, runtime = weak
    if arguments is None:
        theirs.deltas = [{"content": "I would rather not."}]
    else:
        theirs.calls(arguments)
    with pytest.raises(ClientError, match=words) as caught:
        runtime.converse(**asked(toolConfig={**TOOLS, "toolChoice": choice}))
    assert caught.value.response["Error"]["Code"] == "ModelErrorException"
    with pytest.raises(EventStreamError, match=words):
        list(runtime.converse_stream(**asked(toolConfig={**TOOLS, "toolChoice": choice}))["stream"])


def test_what_is_cut_is_not_judged(weak: tuple[Weak, Any]) -> None:
    theirs, runtime = weak
    theirs.deltas, theirs.reason = [{"content": '{"n'}], "length"
    try:
        assert runtime.converse(**asked(outputConfig=STRUCTURED))["stopReason"] == "max_tokens"
    finally:
        theirs.reason = "stop"
