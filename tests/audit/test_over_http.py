"""The trail of a real server: each call once, refused ones included, nothing that was said, nothing lost to a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from outcrop.audit.trail import logs_of
from tests.compatible.test_doors import ask
from tests.live import clean_environment, serve
from tests.serve.calls import CONVERSE, MODEL, SCRIPT, STREAM, call, said, settings


def records(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for log in logs_of(home / "audit") for line in log.read_text().splitlines()]


def verified(home: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "outcrop", "audit", "verify", "--json"],
        env=clean_environment(home), capture_output=True, text=True, check=False,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (1 if found["findings"] else 0)
    return found


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "script.json").write_text(json.dumps(SCRIPT))
    return tmp_path


def started(home: Path) -> Any:
    return serve(home, settings=settings(str(home / "script.json")))


def test_each_call_once(home: Path) -> None:
    with started(home) as server:
        call(server, CONVERSE, said("a secret of walruses"))
        call(server, STREAM, said("a secret of walruses"))
        call(server, CONVERSE, said("busy"))
        call(server, "/model/nobody/converse", said("x"))
        body = {"model": MODEL, "messages": [{"role": "user", "content": "walruses"}]}
        call(server, "/v1/chat/completions", json.dumps(body).encode())
        ask(server, "POST", "/openai/v1/chat/completions", body, {"authorization": "Bearer nonsense"})
        ask(server, "GET", "/health")
        ask(server, "GET", "/nothing")
        environment = server.environment
        sts = boto3.client(
            "sts", endpoint_url=server.url, region_name="us-east-1",
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        )  # fmt: skip
        sts.get_caller_identity()
        secret = environment["AWS_SECRET_ACCESS_KEY"]
    found = records(home)
    assert [(record["eventName"], record.get("errorCode")) for record in found] == [
        ("Converse", None),
        ("ConverseStream", None),
        ("Converse", "ThrottlingException"),
        ("Converse", "ValidationException"),
        ("openai.CreateChatCompletion", None),
        ("openai.CreateChatCompletion", "Unauthenticated"),
        ("Unknown", "UnknownOperationException"),
        ("GetCallerIdentity", None),
    ]
    assert found[0]["requestParameters"] == {"modelId": MODEL}
    assert found[4]["requestParameters"] == {"model": MODEL}
    assert found[0]["userIdentity"]["userName"] == "admin"
    assert found[5]["userIdentity"] == {"type": "Unknown"}
    assert found[7]["eventSource"] == "sts.amazonaws.com"
    assert {record["sourceIPAddress"] for record in found} == {"127.0.0.1"}
    text = json.dumps(found)
    assert "walruses" not in text
    assert secret not in text
    assert verified(home)["findings"] == []


def test_what_was_answered_survives_a_kill(home: Path) -> None:
    with started(home) as server:
        answers = [call(server, CONVERSE, said(f"hello {n}")) for n in range(50)]
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
    answered = [answer.headers["x-amzn-requestid"] for answer in answers]
    assert [record["requestID"] for record in records(home)] == answered
    assert verified(home) == {"records": 50, "files": len(logs_of(home / "audit")), "digests": 0, "findings": []}


def test_tampering_is_named(home: Path) -> None:
    with started(home) as server:
        for _ in range(5):
            call(server, CONVERSE, said("hello"))
    log = logs_of(home / "audit")[-1]
    log.write_text(log.read_text().replace('"sequence":3', '"sequence":3,"extra":1'))
    findings = verified(home)["findings"]
    assert findings == [{"file": str(log.relative_to(home / "audit")), "problem": "line 3: record 3 was edited"}]


def test_it_can_be_left_out(tmp_path: Path) -> None:
    with serve(tmp_path, settings="house_model = false\n[audit]\nenabled = false\n") as server:
        call(server, "/nothing")
    assert not (tmp_path / "audit").exists()
