"""The AWS SDK for JavaScript v3, whose bedrock-runtime client speaks HTTP/2 unless told otherwise."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.journeys.conversation import MODEL
from tests.live import Server

FOLDER = Path(__file__).parent / "javascript"
pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (FOLDER / "node_modules").exists(),
    reason="Node.js or the AWS SDK for JavaScript is not installed: scripts/install-clients",
)


def run(server: Server) -> dict[str, object]:
    extra = (
        {"NODE_EXTRA_CA_CERTS": server.environment["AWS_CA_BUNDLE"]} if "AWS_CA_BUNDLE" in server.environment else {}
    )
    done = subprocess.run(
        ["node", "converse.mjs"], cwd=FOLDER, env={**server.environment, **extra}, check=False, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


@pytest.mark.parametrize("kind", ["server", "tls_server"])
def test_converses_over_http2(kind: str, request: pytest.FixtureRequest) -> None:
    """Cleartext with prior knowledge on `server`, by ALPN on `tls_server`."""
    seen = run(request.getfixturevalue(kind))
    assert seen["handler"] == "NodeHttp2Handler"
    models = seen["models"]
    assert isinstance(models, list)
    assert MODEL in models
    assert seen["answer"] == seen["text"]
    assert seen["error"] == {"name": "ValidationException", "status": 400}
