"""--insecure-no-auth: loud, and on loopback only."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.live import clean_environment, serve
from tests.serve.calls import CONVERSE, said, settings


def test_unsigned_requests_are_answered_and_it_says_so(tmp_path: Path) -> None:
    with serve(tmp_path, "--insecure-no-auth", settings=settings("").replace('script = ""', "")) as server:
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(server.url + CONVERSE, said("hi"), headers, method="POST")  # noqa: S310 - loopback
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - loopback
            assert answer.status == 200
        assert "WARNING: --insecure-no-auth" in server.log


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_it_binds_loopback_only(tmp_path: Path, host: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "outcrop", "serve", "--insecure-no-auth", "--host", host, "--port", "0"],
        env=clean_environment(tmp_path), check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert "binds loopback only" in done.stderr
