from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.live import Server, serve

MODEL = "test.scripted-v1:0"
CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"

SCRIPT = {
    "rules": [
        {"contains": "fail first", "text": "x", "error": {"kind": "failed", "message": "out of memory"}},
        {"contains": "fail later", "text": "one two three", "error": {"kind": "failed", "after_deltas": 2}},
        {"contains": "busy", "text": "x", "error": {"kind": "busy"}},
        {"contains": "think", "reasoning": "Let me see.", "text": "Seen."},
        {"contains": "weather", "tool": "get_weather", "tool_calls": [{"name": "get_weather", "arguments": {"city": "Paris"}}]},
        {"contains": "as json", "text": '{"city": "Paris"}'},
        {"contains": "slowly", "text": "word " * 400, "delta_delay_ms": 50},
        {"after_tool_result": True, "text": "It is sunny."},
        {"matches": "^Say (.*)$", "text": "Hello from the script."},
    ]
}  # fmt: skip


def settings(script: str) -> str:
    return f"""
house_model = false
[server]
log = "json"
[[models]]
id = "{MODEL}"
engine = "scripted"
script = "{script}"
[[models]]
id = "test.embed-v1"
engine = "scripted"
[aliases]
"{CLAUDE}" = "{MODEL}"
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("compatible")
    script = home / "script.json"
    script.write_text(json.dumps(SCRIPT))
    with serve(home, settings=settings(str(script))) as running:
        yield running


@pytest.fixture(scope="module")
def variables(server: Server) -> dict[str, str]:
    """What `outcrop env --openai --anthropic` says."""
    done = subprocess.run(
        [sys.executable, "-m", "outcrop", "env", "--openai", "--anthropic"],
        env={**os.environ, **server.environment}, check=True, capture_output=True, text=True,
    )  # fmt: skip
    lines = (line.removeprefix("export ").partition("=") for line in done.stdout.splitlines() if "export " in line)
    return {name: value.strip("'") for name, _, value in lines}


@pytest.fixture(scope="module")
def client(variables: dict[str, str]) -> OpenAI:
    return OpenAI(base_url=variables["OPENAI_BASE_URL"], api_key=variables["OPENAI_API_KEY"], max_retries=0)


@pytest.fixture(scope="module")
def claude(variables: dict[str, str]) -> Anthropic:
    return Anthropic(base_url=variables["ANTHROPIC_BASE_URL"], api_key=variables["ANTHROPIC_API_KEY"], max_retries=0)
