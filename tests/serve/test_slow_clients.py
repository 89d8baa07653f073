"""A client that reads slowly gets everything and keeps nobody waiting."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.live import Server, serve
from tests.serve.calls import CONVERSE, MODEL, STREAM, call, health, said, settings, signed

WORDS = 60_000
SCRIPT = {"rules": [{"contains": "much", "text": "word " * WORDS}, {"text": "Here."}]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("slow")
    script = home / "script.json"
    script.write_text(json.dumps(SCRIPT))
    with serve(home, settings=settings(str(script)) + "concurrency = 1\nqueue = 0\n") as running:
        yield running


def begun(server: Server, path: str, body: bytes) -> socket.socket:
    """A connection with a small window, on which the request was sent."""
    host = urlsplit(server.url).netloc
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(60)
    name, port = host.split(":")
    client.connect((name, int(port)))
    lines = [
        f"{name}: {value}" for name, value in {**signed(server, path, body), "content-length": str(len(body))}.items()
    ]
    client.sendall("\r\n".join([f"POST {path} HTTP/1.1", *lines, "connection: close", "", ""]).encode() + body)
    return client


def running(server: Server) -> int:
    (engine,) = health(server)["engines"]
    assert engine["model"] == MODEL
    return int(engine["requests"])


def test_a_slow_reader_holds_no_slot_and_loses_nothing(server: Server) -> None:
    client = begun(server, STREAM, said("much"))
    client.recv(512)
    for _ in range(200):
        if running(server) == 0:
            break
        time.sleep(0.1)
    assert running(server) == 0
    # The engine's only place is free while the first answer is still being read.
    assert call(server, CONVERSE, said("hello")).status == 200
    received = 0
    whole = b""
    while piece := client.recv(1 << 20):
        received += piece.count(b"contentBlockDelta")
        whole = (whole + piece)[-4096:]
    client.close()
    assert received > WORDS * 0.9
    assert b"messageStop" in whole
    assert b"metadata" in whole
