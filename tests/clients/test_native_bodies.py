"""Clients that send providers' own bodies to InvokeModel: Cohere's, AI21's and LangChain's."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from outcrop.serve import tls
from tests.clients.environments import ASKED, programs
from tests.clients.serving import environment_of
from tests.live import serve

PROGRAMS = Path(__file__).parent / "native"
pytestmark = pytest.mark.skipif(not ASKED, reason="scripts/test-clients runs the clients of native bodies")

SAID = "The sky is blue today."
SCRIPT = {
    "rules": [
        {"contains": "weather", "tool": "weather", "after_tool_result": False,
         "tool_calls": [{"name": "weather", "arguments": {"city": "Oslo"}}]},
        {"after_tool_result": True, "text": "It is cold."},
        # Slowly: AI21's client loses a chunk that comes in one piece with another.
        {"contains": "sky", "text": SAID, "delta_delay_ms": 10},
    ]
}  # fmt: skip
SETTINGS = """
[[models]]
id = "test.parrot-v1:0"
engine = "scripted"
script = "{script}"

[aliases]
"meta.*" = "test.parrot-v1:0"
"mistral.*" = "test.parrot-v1:0"
"amazon.titan-*" = "test.parrot-v1:0"
"cohere.*" = "test.parrot-v1:0"
"ai21.*" = "test.parrot-v1:0"
"deepseek.*" = "test.parrot-v1:0"
"""
AMAZON = "bedrock-runtime.us-east-1.amazonaws.com"


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    home = tmp_path_factory.mktemp("native")
    with serve(home, settings=_settings(home)) as running:
        yield environment_of(running)


@pytest.fixture(scope="module")
def amazons_variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """A server that proves to be Amazon's, to whoever trusts its authority and is led here."""
    home = tmp_path_factory.mktemp("amazon")
    authority = tls.ensure(home / "tls", AMAZON).ca
    with serve(home, "--tls", settings=_settings(home)) as running:
        port = str(urlsplit(running.url).port)
        yield {**environment_of(running), "SSL_CERT_FILE": str(authority), "OUTCROP_PORT": port}


def _settings(home: Path) -> str:
    script = home / "script.json"
    script.write_text(json.dumps(SCRIPT))
    return SETTINGS.format(script=script)


def _run(program: str, group: str, variables: Mapping[str, str]) -> Any:
    """What the program printed."""
    done = subprocess.run(
        [str(programs(group) / "python"), str(PROGRAMS / program)],
        env=dict(variables), check=False, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_cohere(amazons_variables: Mapping[str, str]) -> None:
    assert _run("cohere_sdk.py", "providers", amazons_variables) == {
        "chat": [SAID, "COMPLETE", 5],
        "history": ["What about the sky?", SAID],
        "streamed": [SAID, "stream-end", SAID],
        "call": ["weather", {"city": "Oslo"}],
        "answered": "It is cold.",
        "streamed call": [{"city": "Oslo"}],
        "generated": SAID,
        "generated in a stream": SAID,
        "floats": ["embeddings_floats", [64, 64]],
        "typed": ["embeddings_by_type", 64, 8],
        "ranked": [[1, 1.0]],
    }


def test_ai21(variables: Mapping[str, str]) -> None:
    assert _run("ai21_sdk.py", "providers", variables) == {"chat": [SAID, "stop", 5], "streamed": SAID}


def test_langchain(variables: Mapping[str, str]) -> None:
    said = _run("langchain_models.py", "together", variables)
    assert all(number > 5 for name, number in said.items() if name.endswith(" streamed"))
    whole = {name: told for name, told in said.items() if not name.endswith(" streamed")}
    assert whole == {
        "meta.llama3-1-8b-instruct-v1:0": [SAID, 5, SAID],
        "mistral.mistral-7b-instruct-v0:2": [SAID, 5, SAID],
        "mistral.mistral-large-2407-v1:0": [SAID, 5, SAID],
        "us.deepseek.r1-v1:0": [SAID, 5, SAID],
        "amazon.titan-text-express-v1": [SAID, 5, SAID],
        "cohere.command-text-v14 plain": [SAID, SAID],
        "amazon.titan-text-express-v1 plain": [SAID, SAID],
        "meta.llama3-1-8b-instruct-v1:0 plain": [SAID, SAID],
        "amazon.titan-embed-text-v1": [64, [64, 64]],
        "amazon.titan-embed-text-v2:0": [16, [16, 16]],
        "cohere.embed-english-v3": [64, [64, 64]],
        "cohere.embed-v4:0": [16, [16, 16]],
    }
