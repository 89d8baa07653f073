"""The environments that scripts/test-clients makes, and what is pinned for them in pyproject.toml and package.json."""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

from tests.clients.page import Snippet

FOLDER = Path(__file__).parent
# Not the machine's own, which may be older than the clients take.
NODE = FOLDER / "node_modules" / ".bin" / "node"
# The clients are heavy: scripts/test leaves them alone even where they are installed.
ASKED = "OUTCROP_TEST_CLIENTS" in os.environ


def pinned(group: str) -> dict[str, str]:
    """Names, with their extras, and versions of the clients of one group."""
    groups = tomllib.loads((FOLDER / "pyproject.toml").read_text())["dependency-groups"]
    return dict(line.split("==") for line in groups[group] if isinstance(line, str))


def pinned_by_npm() -> dict[str, str]:
    found: dict[str, str] = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    return found


def group_of(snippet: Snippet) -> str | None:
    """The group that has all that the snippet installs."""
    return next((group for group in ("together", "apart") if set(snippet.installed) <= pinned(group).keys()), None)


def programs(group: str) -> Path:
    return FOLDER / ".venv" / group / "bin"


def with_programs(environment: Mapping[str, str], group: str) -> dict[str, str]:
    """`environment`, with the group's programs found first."""
    return {**environment, "PATH": f"{programs(group)}{os.pathsep}{environment['PATH']}"}


def without_noise(printed: str) -> str:
    """Lines without the white space at their ends, and none at the end: what a reader would compare."""
    return re.sub(r"[ \t]+$", "", printed, flags=re.MULTILINE).strip()
