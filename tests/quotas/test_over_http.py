"""Quotas of a real server, in every interface, whole and streamed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.live import Server, serve
from tests.serve.calls import SCRIPT, call, opened, said, settings

NARROW, FEW, SLOW = "test.narrow-v1", "test.few-v1", "test.slow-v1"
MORE = f"""
[[models]]
id = "{NARROW}"
engine = "scripted"
max_output_tokens = 50
[[models]]
id = "{FEW}"
engine = "scripted"
[[models]]
id = "{SLOW}"
engine = "scripted"
script = "SCRIPT"
max_output_tokens = 50
[[quotas]]
model = "{SLOW}"
tokens_per_minute = 110
[[quotas]]
model = "{NARROW}"
tokens_per_minute = 100
[[quotas]]
model = "{FEW}"
requests_per_minute = 3
"""


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("quotas")
    script = home / "script.json"
    script.write_text(json.dumps(SCRIPT))
    with serve(home, settings=settings(str(script)) + MORE.replace("SCRIPT", str(script))) as running:
        yield running


def test_requests(server: Server) -> None:
    body = {"model": FEW, "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    assert call(server, f"/model/{FEW}/converse", said("one")).status == 200
    assert call(server, "/v1/chat/completions", json.dumps(body).encode()).status == 200
    assert call(server, "/anthropic/v1/messages", json.dumps({**body, "stream": True}).encode()).status == 200
    refused = call(server, f"/model/{FEW}/converse-stream", said("four"))
    assert (refused.status, refused.error) == (429, "ThrottlingException")
    assert refused.json["message"] == "Too many requests, please wait before trying again."
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    foreign = call(server, "/v1/chat/completions", json.dumps(body).encode())
    assert (foreign.status, foreign.json["error"]["code"]) == (429, "rate_limit_exceeded")


def test_tokens_are_settled_to_what_was_used(server: Server) -> None:
    """The model's most is taken ahead, 50, with two for the prompt; the echo uses one."""
    for _ in range(10):
        assert call(server, f"/model/{NARROW}/converse", said("one")).status == 200
    wide = json.loads(said("word " * 60))
    refused = call(server, f"/model/{NARROW}/converse", json.dumps(wide).encode())
    assert refused.json["message"] == "Too many tokens, please wait before trying again."


def test_who_goes_away_gives_back_what_was_not_generated(server: Server) -> None:
    """Half of the quota is taken by an answer of 50 words; two of them do not fit beside a third."""
    gone = [opened(server, f"/model/{SLOW}/converse-stream", said("slowly")) for _ in range(2)]
    for one in gone:
        one.getresponse().read(1)
    assert call(server, f"/model/{SLOW}/converse", said("hello")).status == 429
    for one in gone:
        one.close()
    for _ in range(100):
        if (answer := call(server, f"/model/{SLOW}/converse", said("hello"))).status == 200:
            break
        time.sleep(0.1)
    assert answer.status == 200
