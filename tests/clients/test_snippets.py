"""The snippets of docs/clients.md, run as they stand there, print what stands under them."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.clients import page
from tests.clients.environments import (
    ASKED,
    FOLDER,
    NODE,
    group_of,
    pinned,
    pinned_by_npm,
    programs,
    with_programs,
    without_noise,
)
from tests.clients.page import Snippet

SNIPPETS = page.read().snippets


@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: snippet.title)
def test_what_the_page_has_installed_is_pinned(snippet: Snippet) -> None:
    if snippet.manager == "npm":
        assert set(snippet.installed) <= pinned_by_npm().keys()
    else:
        assert group_of(snippet) is not None


def test_every_client_that_is_pinned_is_on_the_page() -> None:
    """Those that are no clients, but what runs one or what LangChain's tests are in, are not."""
    shown = {name for snippet in SNIPPETS for name in snippet.installed}
    assert pinned("together").keys() | pinned("apart").keys() | pinned_by_npm().keys() == shown | {
        "langchain-tests",
        "node",
    }


@pytest.mark.skipif(not ASKED, reason="scripts/test-clients runs the snippets")
@pytest.mark.parametrize("snippet", SNIPPETS, ids=lambda snippet: snippet.title)
def test_prints_what_the_page_says(snippet: Snippet, environment: Mapping[str, str], tmp_path: Path) -> None:
    if snippet.manager == "npm" and not NODE.exists():
        pytest.skip("npm is not installed")
    command, folder, variables = _command(snippet, environment, tmp_path)
    done = subprocess.run(
        command, cwd=folder, env=variables, input=snippet.code, check=False, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert without_noise(done.stdout) == without_noise(snippet.printed), done.stderr


def _command(
    snippet: Snippet, environment: Mapping[str, str], scratch: Path
) -> tuple[list[str], Path, Mapping[str, str]]:
    """Code comes on standard input: what is imported is looked for in the working directory, which differs."""
    if snippet.manager == "npm":
        return [str(NODE), "--input-type=module", "-"], FOLDER, environment
    group = group_of(snippet)
    assert group is not None
    variables = with_programs(environment, group)
    if snippet.language == "sh":
        return ["bash", "-euo", "pipefail", "-s"], scratch, variables
    return [str(programs(group) / "python"), "-"], scratch, variables
