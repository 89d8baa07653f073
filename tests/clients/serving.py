"""What clients need to find a running server."""

from __future__ import annotations

import subprocess
import sys

from tests.live import Server, exported


def environment_of(server: Server, *options: str) -> dict[str, str]:
    """What `outcrop env` with these options says, over an environment without other settings."""
    printed = subprocess.run(
        [sys.executable, "-m", "outcrop", "env", *options],
        env=dict(server.environment), check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    plain = {k: v for k, v in server.environment.items() if not k.startswith(("OPENAI_", "ANTHROPIC_", "LANGSMITH_"))}
    return {**plain, **exported(printed)}
