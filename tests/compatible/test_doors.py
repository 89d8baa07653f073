"""Routes, credentials and errors of both interfaces, without an SDK in between."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.compatible.conftest import CLAUDE, MODEL
from tests.live import Server
from tests.serve.calls import call, health, log_lines

CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "Say hello"}]}


def ask(
    server: Server, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
) -> tuple[int, Any, Mapping[str, str]]:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), dict(headers or {}))
        response = connection.getresponse()
        return response.status, json.loads(response.read() or b"null"), dict(response.headers)
    finally:
        connection.close()


@pytest.fixture
def bearer(variables: dict[str, str]) -> dict[str, str]:
    return {"authorization": f"Bearer {variables['OPENAI_API_KEY']}", "content-type": "application/json"}


@pytest.mark.parametrize("path", ["/openai/v1/chat/completions", "/v1/chat/completions"])
def test_signatures_are_taken_as_well_as_keys(server: Server, path: str) -> None:
    answer = call(server, path, json.dumps(CHAT).encode())
    assert answer.status == 200
    assert answer.json["choices"][0]["message"]["content"] == "Hello from the script."
    assert answer.headers["x-request-id"] == answer.headers["x-amzn-requestid"]


@pytest.mark.parametrize(
    ("path", "headers", "shape"),
    [
        ("/openai/v1/chat/completions", {}, "openai"),
        ("/v1/chat/completions", {"authorization": "Bearer nonsense"}, "openai"),
        ("/v1/responses", {"authorization": "Bearer bedrock-api-key-x"}, "openai"),
        ("/v1/messages", {"x-api-key": "nonsense"}, "anthropic"),
        ("/anthropic/v1/messages", {}, "anthropic"),
    ],
)
def test_credentials_that_prove_nothing(server: Server, path: str, headers: dict[str, str], shape: str) -> None:
    status, body, _ = ask(server, "POST", path, CHAT, headers)
    assert status == 401
    if shape == "openai":
        assert body["error"]["code"] == "invalid_api_key"
    else:
        assert body["error"]["type"] == "authentication_error"


def test_headers_tell_whose_models_are_asked_for(server: Server, bearer: dict[str, str]) -> None:
    _, openai, _ = ask(server, "GET", "/v1/models", headers=bearer)
    assert openai["object"] == "list"
    _, anthropic, _ = ask(server, "GET", "/v1/models", headers={**bearer, "anthropic-version": "2023-06-01"})
    assert anthropic["has_more"] is False
    assert {model["id"] for model in anthropic["data"]} == {model["id"] for model in openai["data"]}


def test_what_nobody_answers(server: Server, bearer: dict[str, str]) -> None:
    status, body, _ = ask(server, "POST", "/openai/v1/audio/speech", {}, bearer)
    assert (status, body["error"]["code"]) == (404, "unknown_url")
    status, body, _ = ask(server, "GET", "/anthropic/v1/files", headers=bearer)
    assert (status, body["error"]["type"]) == (404, "not_found_error")
    status, body, headers = ask(server, "GET", "/v1/nothing", headers=bearer)
    assert (status, headers["x-amzn-errortype"]) == (404, "UnknownOperationException")
    # GET, where only POST is answered.
    status, _, _ = ask(server, "GET", "/openai/v1/chat/completions", headers=bearer)
    assert status == 404


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/messages"])
@pytest.mark.parametrize("body", [[], "x", 5, None, {}, {"model": 5}, {"model": MODEL, "messages": 5, "input": 5}])
def test_bodies_that_are_none(server: Server, bearer: dict[str, str], path: str, body: Any) -> None:
    status, answer, _ = ask(server, "POST", path, body, bearer)
    assert status in (400, 404)
    assert answer["error"]["message"]


def test_a_client_that_goes_away_frees_its_slot(server: Server, bearer: dict[str, str]) -> None:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    body = {"model": CLAUDE, "max_tokens": 1000, "stream": True, "messages": [{"role": "user", "content": "slowly"}]}
    connection.request("POST", "/v1/messages", json.dumps(body), bearer)
    assert connection.getresponse().read(10)
    assert sum(engine["requests"] for engine in health(server)["engines"]) == 1
    connection.close()
    for _ in range(100):
        if sum(engine["requests"] for engine in health(server)["engines"]) == 0:
            break
        time.sleep(0.1)
    assert sum(engine["requests"] for engine in health(server)["engines"]) == 0


def test_the_log_names_the_endpoint(server: Server, bearer: dict[str, str]) -> None:
    _, _, headers = ask(server, "POST", "/v1/chat/completions", CHAT, bearer)
    for _ in range(100):
        found = [line for line in log_lines(server) if line.get("request_id") == headers["x-amzn-requestid"]]
        if found:
            break
        time.sleep(0.05)
    assert found[0]["operation"] == "openai.CreateChatCompletion"
    assert found[0]["principal"].endswith(":user/admin")
