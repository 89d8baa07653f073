"""What nobody foresaw: the caller gets an id and nothing else, the operator the whole story."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from outcrop.app import App
from outcrop.settings import IdentitySettings, ModelSpec, Settings
from outcrop.settings import Server as ServerSettings
from tests.serve.calls import CONVERSE, MODEL, STREAM, said


def app(home: Path) -> App:
    model = ModelSpec(id=MODEL, engine="scripted")
    identity = IdentitySettings(insecure_no_auth=True)
    return App(Settings(house_model=False, models=(model,), identity=identity, server=ServerSettings(log="off")), home)


async def call(made: App, path: str) -> list[Any]:
    """The messages that the application sends for a POST."""
    scope = {
        "type": "http", "method": "POST", "raw_path": path.encode(), "query_string": b"", "scheme": "http",
        "headers": [(b"host", b"localhost"), (b"content-type", b"application/json")],
    }  # fmt: skip
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": said("hi"), "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await made(scope, receive, send)
    return sent


async def broken(*_: object) -> Any:
    raise RuntimeError("the secret is 42")


async def breaking_off(*_: object) -> Any:
    async def events() -> AsyncIterator[Any]:
        yield {"messageStart": {"role": "assistant"}}
        raise RuntimeError("the secret is 42")

    return {"stream": events()}


def test_before_the_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = app(tmp_path)
    made.handlers = {**made.handlers, ("bedrock-runtime", "Converse"): broken}
    start, body = asyncio.run(call(made, CONVERSE))
    headers = {name.decode(): value.decode() for name, value in start["headers"]}
    assert start["status"] == 500
    assert headers["x-amzn-errortype"] == "InternalServerException"
    assert headers["x-amzn-requestid"] in json.loads(body["body"])["message"]
    assert b"42" not in body["body"].replace(headers["x-amzn-requestid"].encode(), b"")
    assert "the secret is 42" in caplog.text


def test_within_a_stream(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    made = app(tmp_path)
    made.handlers = {**made.handlers, ("bedrock-runtime", "ConverseStream"): breaking_off}
    sent = asyncio.run(call(made, STREAM))
    assert sent[0]["status"] == 200
    last = b"".join(message.get("body", b"") for message in sent[1:])
    assert b"internalServerException" in last
    assert b"secret" not in last
    assert "the secret is 42" in caplog.text


def test_ready_says_that_a_model_cannot_be_served(tmp_path: Path) -> None:
    made = App(
        Settings(
            house_model=False, models=(ModelSpec(id="a.b-v1:0", engine="vllm"),), server=ServerSettings(log="off")
        ),
        tmp_path,
    )

    async def get(path: str) -> tuple[int, Any]:
        scope = {
            "type": "http",
            "method": "GET",
            "raw_path": path.encode(),
            "query_string": b"",
            "scheme": "http",
            "headers": [],
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await made(scope, receive, send)
        return sent[0]["status"], json.loads(sent[1]["body"])

    assert asyncio.run(get("/health"))[0] == 200
    status, body = asyncio.run(get("/ready"))
    assert status == 503
    assert "needs a path" in body["engines"][0]["problem"]
