"""LangChain's standard tests (tests/clients/standard): four of its chat classes, with two engines, and embeddings."""

from __future__ import annotations

import json
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.clients.environments import ASKED, programs
from tests.clients.serving import environment_of
from tests.live import serve

STANDARD = Path(__file__).parent / "standard"
pytestmark = pytest.mark.skipif(not ASKED, reason="scripts/test-clients runs LangChain's standard tests")

SETTINGS = """
[[models]]
id = "test.scripted-v1:0"
engine = "scripted"
script = "{script}"
images = true

[aliases]
"anthropic.claude-sonnet-4-5-20250929-v1:0" = "test.scripted-v1:0"
"anthropic.claude-haiku-4-5-20251001-v1:0" = "outcrop.house-nano-v1:0"
"amazon.titan-embed-text-v2:0" = "test.scripted-v1:0"
"cohere.embed-english-v3" = "test.scripted-v1:0"
"""
JOKE = {"setup": "Why do cats win?", "punchline": "They have nine lives."}
SCRIPT = {
    "rules": [
        {"after_tool_result": True, "text": "It is sunny, and the result is 3."},
        {"tool": "magic_function", "contains": "magic_function(3)", "tool_calls": [{"name": "magic_function", "arguments": {"input": 3}}]},
        {"tool": "magic_function_no_args", "tool_calls": [{"name": "magic_function_no_args"}]},
        {"tool": "unicode_customer", "contains": "你好啊集团", "tool_calls": [
            {"name": "unicode_customer", "arguments": {"customer_name": "你好啊集团", "description": "Technology"}}]},
        {"tool": "unicode_customer", "contains": "こんにちは株式会社", "tool_calls": [
            {"name": "unicode_customer", "arguments": {"customer_name": "こんにちは株式会社", "description": "A company"}}]},
        {"tool": "get_weather", "contains": "San Francisco", "tool_calls": [
            {"name": "get_weather", "arguments": {"location": "San Francisco, CA"}}]},
        {"tool": "greeting_generator", "tool_calls": [{"name": "greeting_generator", "arguments": {"answer_style": "Pirate"}}]},
        {"tool": "Joke", "tool_calls": [{"name": "Joke", "arguments": JOKE}]},
        {"contains": "joke", "text": json.dumps(JOKE)},
        {"matches": "^Read this from the cache", "text": "It was there.", "cached_tokens": 4},
        {"text": "Hello from the script."},
    ]
}  # fmt: skip


@pytest.fixture(scope="module")
def variables(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    home = tmp_path_factory.mktemp("standard")
    script = home / "script.json"
    script.write_text(json.dumps(SCRIPT))
    with serve(home, settings=SETTINGS.format(script=script)) as running:
        yield environment_of(running, "--openai", "--anthropic")


@pytest.mark.parametrize(
    ("suite", "passed"),
    [
        ("chat_models.py::TestConverse", 40),
        ("chat_models.py::TestConverseWithTheHouseModel", 32),
        ("chat_models.py::TestInvokeModel", 38),
        ("chat_models.py::TestOpenAI", 44),
        ("chat_models.py::TestAnthropic", 45),
        ("embeddings.py", 12),
    ],
)
def test_holds_the_standard(suite: str, passed: int, variables: Mapping[str, str], tmp_path: Path) -> None:
    """`passed` is how many do at least, so that a suite that leaves out everything does not pass."""
    report = tmp_path / "report.xml"
    done = subprocess.run(
        [
            str(programs("together") / "python"), "-m", "pytest", "-c", str(STANDARD / "pytest.ini"), "--tb=short",
            f"--junit-xml={report}", str(STANDARD / suite),
        ],
        cwd=STANDARD, env=variables, check=False, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    suites = ElementTree.parse(report).getroot().iter("testsuite")  # noqa: S314 - pytest wrote it just now
    counts = next({name: int(value) for name, value in suite.items() if value.isdigit()} for suite in suites)
    assert counts["tests"] - counts["skipped"] >= passed
