"""Errors before the first byte and after it, ids, limits, and what is never told."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from typing import Any

import pytest
from botocore.eventstream import EventStreamBuffer

from tests.live import Server
from tests.serve.calls import CONVERSE, MODEL, STREAM, Answer, call, health, log_lines, opened, said

REQUEST_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def logged(server: Server, request_id: str) -> dict[str, Any]:
    """Its line, which is written after the answer was sent."""
    for _ in range(200):
        for line in log_lines(server):
            if line.get("request_id") == request_id and "status" in line:
                return line
        time.sleep(0.05)
    raise AssertionError(f"no line for {request_id}")


def frames(answer: Answer) -> list[tuple[str, str, bytes]]:
    buffer = EventStreamBuffer()
    buffer.add_data(answer.body)
    found = []
    for frame in buffer:
        kind = frame.headers[":message-type"]
        found.append((kind, frame.headers.get(":event-type") or frame.headers.get(":exception-type"), frame.payload))
    return found


def test_an_answer_and_its_stream(server: Server) -> None:
    whole = call(server, CONVERSE, said("hi"))
    assert whole.status == 200
    assert whole.json["output"]["message"]["content"] == [{"text": "Hello from the script."}]
    streamed = call(server, STREAM, said("hi"))
    assert streamed.headers["content-type"] == "application/vnd.amazon.eventstream"
    names = [name for _, name, _ in frames(streamed)]
    assert names[0] == "messageStart"
    assert names[-2:] == ["messageStop", "metadata"]


@pytest.mark.parametrize("path", [CONVERSE, STREAM], ids=["whole", "streamed"])
@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("fail first", 424, "ModelErrorException"),
        ("busy", 429, "ThrottlingException"),
        ("late", 408, "ModelTimeoutException"),
        ("word " * 9000, 400, "ValidationException"),
    ],
    ids=["failed", "busy", "late", "too long"],
)
def test_errors_before_the_first_byte_are_json(server: Server, path: str, text: str, status: int, code: str) -> None:
    answer = call(server, path, said(text))
    assert (answer.status, answer.error) == (status, code)
    assert answer.json["message"]
    assert "line 7" not in answer.body.decode(), "an engine's log is for the operator"


def test_a_busy_engine_says_when_to_come_again(server: Server) -> None:
    assert call(server, CONVERSE, said("busy")).headers["retry-after"] == "1"


def test_errors_after_the_first_byte_are_frames(server: Server) -> None:
    answer = call(server, STREAM, said("fail later"))
    assert answer.status == 200
    kind, name, payload = frames(answer)[-1]
    assert (kind, name) == ("exception", "modelStreamErrorException")
    assert json.loads(payload)["message"] == "The script says so."
    assert "messageStop" not in [name for _, name, _ in frames(answer)]


@pytest.mark.parametrize(
    ("path", "body", "method", "status"),
    [
        (CONVERSE, said("hi"), "POST", 200),
        (CONVERSE, b"{", "POST", 400),
        (CONVERSE, said("fail first"), "POST", 424),
        ("/no/such/path", b"", "GET", 404),
        ("/guardrails", b"", "GET", 501),
    ],
    ids=["good", "malformed", "engine", "unknown", "not built"],
)
def test_every_answer_has_an_id_and_a_line_in_the_log(
    server: Server, path: str, body: bytes, method: str, status: int
) -> None:
    answer = call(server, path, body, method)
    assert answer.status == status
    request_id = answer.headers["x-amzn-requestid"]
    assert REQUEST_ID.fullmatch(request_id)
    line = logged(server, request_id)
    assert line["status"] == status
    assert line["ms"] >= 0
    if status != 200:
        assert line["error"] == answer.error


def test_an_unsigned_request_has_an_id_too(server: Server) -> None:
    request = urllib.request.Request(server.url + CONVERSE, data=said("hi"), method="POST")  # noqa: S310 - loopback
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)  # noqa: S310 - loopback
    assert caught.value.status == 403
    assert caught.value.headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"
    assert REQUEST_ID.fullmatch(caught.value.headers["x-amzn-requestid"])


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"1", b'"x"', b"{", b"\xff\xfe", b'{"messages":', b'{"messages":"x"}', b'{"messages":[1]}',
        b'{"messages":[{"role":"user","content":[{}]}]}', b'{"messages":[{"role":"user","content":[{"text":1}]}]}',
        b'{"a":1,"a":2}', b"[" * 5000, b'{"inferenceConfig":{"maxTokens":1e400}}', b'{"inferenceConfig":{"maxTokens":NaN}}',
        b'{"messages":[{"role":"user","content":[{"text":"\xed\xa0\x80"}]}]}', b"\x00" * 100,
        b'{"messages":[{"role":"user","content":[{"image":{"format":"png","source":{"bytes":"!!"}}}]}]}',
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [CONVERSE, STREAM], ids=["whole", "streamed"])
def test_malformed_bodies_are_the_callers_fault(server: Server, path: str, body: bytes) -> None:
    answer = call(server, path, body)
    assert answer.status == 400, answer.body
    assert answer.error in ("ValidationException", "SerializationException")


def test_a_body_over_the_limit_is_refused(server: Server) -> None:
    answer = call(server, CONVERSE, said("x" * 100_001))
    assert (answer.status, answer.error) == (400, "ValidationException")
    assert "100000 bytes" in answer.json["message"]


def test_neither_prompts_nor_secrets_are_logged(server: Server) -> None:
    answer = call(server, CONVERSE, said("my private-question-about-walruses"))
    logged(server, answer.headers["x-amzn-requestid"])
    assert "walruses" not in server.log
    assert "Hello from the script" not in server.log
    secret = server.environment["AWS_SECRET_ACCESS_KEY"]
    # The first start prints the lines that connect a client; no request's line has them.
    assert not [line for line in server.log.splitlines() if line.startswith("{") and secret in line]


def test_health_lists_the_models(server: Server) -> None:
    assert health(server)["engines"] == [
        {"model": MODEL, "engine": "scripted", "state": "ready", "requests": 0, "waiting": 0, "turned_away": 0}
    ]


def test_pipelined_and_repeated_requests_on_one_connection(server: Server) -> None:
    connection = opened(server, CONVERSE, said("hi"))
    first = connection.getresponse()
    assert first.status == 200
    first.read()
    connection.request("GET", "/health")
    assert connection.getresponse().status == 200
    connection.close()
