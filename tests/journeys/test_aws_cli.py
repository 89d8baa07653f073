"""The AWS CLI, in an environment of its own (scripts/install-clients)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.conversation import MODEL, QUESTION, user
from tests.live import Server

AWS = Path(__file__).parent / ".awscli" / "bin" / "aws"
pytestmark = pytest.mark.skipif(not AWS.exists(), reason="the AWS CLI is not installed: scripts/install-clients")


def aws(server: Server, *arguments: str) -> Any:
    done = subprocess.run(
        [str(AWS), *arguments, "--output", "json"],
        env=dict(server.environment), check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_lists_models(server: Server) -> None:
    listed = aws(server, "bedrock", "list-foundation-models")
    assert MODEL in [model["modelId"] for model in listed["modelSummaries"]]


def test_converses(server: Server) -> None:
    answer = aws(
        server, "bedrock-runtime", "converse", "--model-id", MODEL,
        "--messages", json.dumps([user(QUESTION)]), "--inference-config", "maxTokens=20,temperature=0",
    )  # fmt: skip
    assert answer["output"]["message"]["content"][0]["text"]


def test_invokes_a_native_body(server: Server, tmp_path: Path) -> None:
    body = {
        "anthropic_version": "bedrock-2023-05-31", "max_tokens": 20, "messages": [{"role": "user", "content": QUESTION}],
    }  # fmt: skip
    out = tmp_path / "answer.json"
    aws(
        server, "bedrock-runtime", "invoke-model", "--model-id", MODEL,
        "--body", json.dumps(body), str(out),
    )  # fmt: skip
    assert json.loads(out.read_text())["type"] == "message"
