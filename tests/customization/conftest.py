from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.customization.customizing import Customizing, connect
from tests.live import serve

SHADOW = {"PYTHONPATH": str(Path(__file__).parent / "shadow")}
SETTINGS = """
[[models]]
id = "test.scripted-v1:0"
engine = "scripted"
[customization]
at_once = 2
[aliases]
"meta.llama3-2-1b-instruct-v1:0" = "outcrop.house-nano-v1:0"
"amazon.nova-lite-v1:0" = "outcrop.house-nano-v1:0"
"anthropic.claude-3-haiku-20240307-v1:0" = "outcrop.house-nano-v1:0"
"cohere.command-text-v14" = "outcrop.house-nano-v1:0"
"""


@pytest.fixture(scope="session")
def customizing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Customizing]:
    """A live server with the house model, whose trainer trains nothing."""
    with serve(tmp_path_factory.mktemp("customizing"), settings=SETTINGS, more=SHADOW) as running:
        yield connect(running)
