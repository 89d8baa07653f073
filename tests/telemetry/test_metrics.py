"""Prometheus metrics of a real server, read by the official client's parser."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.live import Server, clean_environment, free_port, serve
from tests.serve.calls import CONVERSE, MODEL, SCRIPT, STREAM, call, opened, said, settings

EMBED = "amazon.titan-embed-text-v2:0"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("metrics")
    script = home / "script.json"
    script.write_text(json.dumps(SCRIPT))
    more = f'concurrency = 1\nqueue = 1\n[[models]]\nid = "{EMBED}"\nengine = "scripted"\n[telemetry]\nmetrics_port = {port}\n'
    with serve(home, settings=settings(str(script)) + more) as running:
        yield running


def scraped(port: int) -> Samples:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(port: int, name: str, **labels: str) -> float:
    """The sum over all samples of that name with those labels."""
    wanted = set(labels.items())
    return sum(number for (found, has), number in scraped(port).items() if found == name and wanted <= has)


def eventually(port: int, expected: float, name: str, **labels: str) -> None:
    """What is counted at a request's end may come a moment after its answer."""
    for _ in range(100):
        if value(port, name, **labels) == expected:
            return
        time.sleep(0.05)
    assert value(port, name, **labels) == expected


def test_requests_errors_and_tokens(server: Server, port: int) -> None:
    assert call(server, CONVERSE, said("hello there")).status == 200
    assert call(server, STREAM, said("hello there")).status == 200
    assert call(server, CONVERSE, said("fail first")).status == 424
    assert call(server, STREAM, said("fail later")).status == 200
    assert call(server, "/model/nobody/converse", said("x")).status == 400
    eventually(port, 1, "outcrop_requests_total", operation="Converse", status="200")
    eventually(port, 1, "outcrop_requests_total", operation="Converse", status="424", error="ModelErrorException")
    eventually(port, 1, "outcrop_requests_total", operation="Converse", error="ValidationException")
    eventually(port, 1, "outcrop_requests_total", operation="ConverseStream", error="ModelStreamErrorException")
    assert value(port, "outcrop_generations_total", model=MODEL, outcome="stop") == 2
    assert value(port, "outcrop_generations_total", model=MODEL, outcome="ModelErrorException") == 1
    assert value(port, "outcrop_generations_total", model=MODEL, outcome="ModelStreamErrorException") == 1
    # A word is a token, and a message one more.
    assert value(port, "outcrop_tokens_total", model=MODEL, kind="input") == 2 * 3
    assert value(port, "outcrop_tokens_total", model=MODEL, kind="output") == 2 * 4
    assert value(port, "outcrop_time_to_first_token_seconds_count", model=MODEL) == 3
    assert value(port, "outcrop_inter_token_seconds_count", model=MODEL) == 2
    accounts = {dict(labels)["account"] for name, labels in scraped(port) if name == "outcrop_tokens_total"}
    assert all(len(account) == 12 for account in accounts)


def test_embeddings_are_counted(server: Server, port: int) -> None:
    body = json.dumps({"inputText": "one two three"}).encode()
    assert call(server, f"/model/{EMBED}/invoke".replace(":", "%3A"), body).status == 200
    eventually(port, 1, "outcrop_generations_total", model=EMBED, outcome="embedded")
    assert value(port, "outcrop_tokens_total", model=EMBED, kind="input") == 3


def test_the_queue_and_who_is_turned_away(server: Server, port: int) -> None:
    running = opened(server, STREAM, said("slowly"))
    running.getresponse().read(1)
    waiting = opened(server, STREAM, said("slowly"))
    for _ in range(100):
        if value(port, "outcrop_engine_waiting", model=MODEL) == 1:
            break
        time.sleep(0.05)
    refused = call(server, CONVERSE, said("hello"))
    assert (refused.status, refused.error) == (429, "ThrottlingException")
    assert int(refused.headers["retry-after"]) >= 1
    assert value(port, "outcrop_engine_running", model=MODEL) == 1
    assert value(port, "outcrop_engine_turned_away_total", model=MODEL) == 1
    running.close()
    waiting.close()
    eventually(port, 0, "outcrop_engine_running", model=MODEL)
    eventually(port, 0, "outcrop_engine_waiting", model=MODEL)
    # The one that ran, and the one that waited.
    eventually(port, 2, "outcrop_generations_total", model=MODEL, outcome="ClientDisconnected")


def test_no_metrics_unless_asked_for(tmp_path: Path) -> None:
    with serve(tmp_path / "plain", settings="house_model = false\n") as plain:
        connection = http.client.HTTPConnection(plain.url.removeprefix("http://"), timeout=10)
        connection.request("GET", "/metrics")
        assert connection.getresponse().status in (403, 404)


def test_traces_do_not_leave_an_air_gap(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text(
        'network = "none"\n[telemetry]\ntraces = "http://example.com:4318/v1/traces"\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "outcrop", "serve", "--port", str(free_port())],
        env=clean_environment(tmp_path), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "telemetry.traces would leave this machine" in done.stderr


def test_places_that_are_kept_for_somebody(tmp_path: Path) -> None:
    script, port = tmp_path / "script.json", free_port()
    script.write_text(json.dumps(SCRIPT))
    more = f"concurrency = 3\n[telemetry]\nmetrics_port = {port}\n"
    with serve(tmp_path / "home", settings=settings(str(script)) + more) as running:
        body = {"provisionedModelName": "team", "modelUnits": 2, "modelId": MODEL}
        made = call(running, "/provisioned-model-throughput", json.dumps(body).encode())
        assert made.status == 201
        arn = made.json["provisionedModelArn"]
        labels = {"model": MODEL, "provisioned_model": arn.rpartition("/")[2]}
        eventually(port, 2, "outcrop_reserved_places", **labels)
        assert value(port, "outcrop_reserved_running", **labels) == 0
        slow = opened(running, f"/model/{quote(arn, safe='')}/converse-stream", said("slowly"))
        slow.getresponse().read(1)
        assert value(port, "outcrop_reserved_running", **labels) == 1
        assert value(port, "outcrop_reserved_waiting", **labels) == 0
        slow.close()
        eventually(port, 0, "outcrop_reserved_running", **labels)
