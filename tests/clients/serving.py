"""What clients need to find a running server."""

from __future__ import annotations

import subprocess
import sys

from tests.live import Server, exported

# What these clients would fetch from, or tell, their makers.
AT_HOME = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "HAYSTACK_TELEMETRY_ENABLED": "False"}


def environment_of(server: Server, *options: str) -> dict[str, str]:
    """What `outcrop env` with these options says, over an environment without other settings."""
    printed = subprocess.run(
        [sys.executable, "-m", "outcrop", "env", *options],
        env=dict(server.environment), check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    plain = {k: v for k, v in server.environment.items() if not k.startswith(("OPENAI_", "ANTHROPIC_", "LANGSMITH_"))}
    return {**plain, **AT_HOME, **exported(printed)}
