"""`outcrop encryption` beside a live server."""

from __future__ import annotations

import json
import subprocess
import sys
import time

from tests.live import Server

# Longer than a server may not have noticed what a command did.
NOTICED_SECONDS = 0.3


def outcrop(server: Server, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "outcrop", "encryption", *arguments],
        env=dict(server.environment), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    time.sleep(NOTICED_SECONDS)
    return done.stdout


def new_key(server: Server, *options: str) -> str:
    return str(json.loads(outcrop(server, "create", "--json", *options))["Arn"])
