"""Signed requests over a plain socket: what a server does with bytes, without an SDK in between."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.live import Server

MODEL = "test.scripted-v1:0"
CONVERSE = f"/model/{MODEL.replace(':', '%3A')}/converse"
STREAM = f"{CONVERSE}-stream"

SCRIPT = {
    "rules": [
        {"contains": "slowly", "text": "word " * 200, "delta_delay_ms": 100},
        {"contains": "never", "text": "too late", "first_delay_ms": 60000},
        {"contains": "fail first", "text": "x", "error": {"kind": "failed", "message": "out of memory\nat line 7"}},
        {"contains": "fail later", "text": "one two three", "error": {"kind": "failed", "after_deltas": 2}},
        {"contains": "busy", "text": "x", "error": {"kind": "busy"}},
        {"contains": "late", "text": "x", "error": {"kind": "timeout"}},
        {"text": "Hello from the script."},
    ]
}


def settings(script: str) -> str:
    return f"""
house_model = false
[server]
log = "json"
max_body_bytes = 100000
[[models]]
id = "{MODEL}"
engine = "scripted"
script = "{script}"
"""


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        return self.headers["x-amzn-errortype"]


def said(text: str) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": [{"text": text}]}]}).encode()


def signed(server: Server, path: str, body: bytes, method: str = "POST") -> dict[str, str]:
    host = urlsplit(server.url).netloc
    request = AWSRequest(
        method, server.url + path, data=body, headers={"content-type": "application/json", "host": host}
    )
    keys = Credentials(server.environment["AWS_ACCESS_KEY_ID"], server.environment["AWS_SECRET_ACCESS_KEY"])
    SigV4Auth(keys, "bedrock", "us-east-1").add_auth(request)
    return dict(request.headers.items())


def opened(server: Server, path: str, body: bytes, method: str = "POST") -> http.client.HTTPConnection:
    """A connection on which the request was sent."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in {**signed(server, path, body, method), "content-length": str(len(body))}.items():
        connection.putheader(name, value)
    connection.endheaders(body)
    return connection


def call(server: Server, path: str, body: bytes = b"", method: str = "POST") -> Answer:
    connection = opened(server, path, body, method)
    try:
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, response.read())
    finally:
        connection.close()


def log_lines(server: Server) -> list[dict[str, Any]]:
    """Whole lines only: the last may be in the middle of being written."""
    return [json.loads(line) for line in server.log.splitlines() if line.startswith("{") and line.endswith("}")]


def health(server: Server) -> dict[str, Any]:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    try:
        connection.request("GET", "/health")
        found: dict[str, Any] = json.loads(connection.getresponse().read())
        return found
    finally:
        connection.close()
