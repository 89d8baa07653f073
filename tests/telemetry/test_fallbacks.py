"""Where one of several engines does not answer, the caller, the log and the metrics say so."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.live import Server, free_port, serve
from tests.serve.calls import CONVERSE, MODEL, STREAM, call, log_lines, said
from tests.telemetry.test_metrics import eventually

PORT = free_port()
FAILING = {
    "rules": [
        {"contains": "all fail", "text": "x", "error": {"kind": "busy"}},
        {"text": "x", "error": {"kind": "failed"}},
    ]
}
GOOD = {"rules": [{"contains": "all fail", "text": "x", "error": {"kind": "failed"}}, {"text": "From the second."}]}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("fallbacks")
    for name, script in (("failing", FAILING), ("good", GOOD)):
        (home / f"{name}.json").write_text(json.dumps(script))
    settings = f"""
house_model = false
[server]
log = "json"
[telemetry]
metrics_port = {PORT}
[[models]]
id = "{MODEL}"
[[models.engines]]
name = "first"
engine = "scripted"
script = "{home}/failing.json"
[[models.engines]]
name = "second"
engine = "scripted"
script = "{home}/good.json"
fallback = true
"""
    with serve(home, settings=settings) as running:
        yield running


def logged(server: Server, request_id: str) -> dict[str, Any]:
    """A request's line, which may come a moment after its answer."""
    for _ in range(200):
        for line in log_lines(server):
            if line.get("request_id") == request_id:
                return line
        time.sleep(0.05)
    raise AssertionError(f"{request_id} is not in the log")


@pytest.mark.parametrize("path", [CONVERSE, STREAM])
def test_who_answered_and_who_did_not(server: Server, path: str) -> None:
    answer = call(server, path, said("hello"))
    assert answer.status == 200
    assert b"From" in answer.body
    assert answer.headers["x-outcrop-engine"] == "second"
    # The first is tried last for some seconds after it failed.
    if path == CONVERSE:
        assert answer.headers["x-outcrop-fallback"] == "first (failed)"
        assert logged(server, answer.headers["x-amzn-requestid"])["engines"] == ["first: failed", "second: answered"]
        eventually(PORT, 1, "outcrop_fallbacks_total", model=MODEL, engine="first")


def test_nobody_answered(server: Server) -> None:
    answer = call(server, CONVERSE, said("all fail"))
    assert (answer.status, answer.error) == (429, "ThrottlingException")
    assert "x-outcrop-engine" not in answer.headers
