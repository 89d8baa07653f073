"""Servers that benchmarks measure, each as a real process on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Running:
    url: str
    process: subprocess.Popen[bytes]
    environment: Mapping[str, str]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def process(
    argv: Sequence[str], url: str, *, environment: Mapping[str, str] | None = None, log: Path, wait: float = 90
) -> Iterator[Running]:
    """Runs `argv` until the block ends; the block begins when `url` answers anything at all."""
    merged = {**os.environ, **(environment or {})}
    with log.open("wb") as sink:
        started = subprocess.Popen(list(argv), stdout=sink, stderr=sink, env=merged, start_new_session=True)
    try:
        _wait(url, started, log, wait)
        yield Running(url, started, merged)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGTERM)
        try:
            started.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)


def _wait(url: str, started: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if started.poll() is not None:
            raise SystemExit(f"{started.args!r} ended early:\n{log.read_text()[-2000:]}")
        try:
            urllib.request.urlopen(url, timeout=1)  # noqa: S310 - loopback
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit(f"{started.args!r} did not answer on {url}:\n{log.read_text()[-2000:]}")


@contextlib.contextmanager
def outcrop(settings: str, *options: str, key: bytes | None = None) -> Iterator[Running]:
    """`outcrop serve` in an empty home with these settings; `environment` holds the AWS variables of its administrator.

    `key`: the key file of another server that it shares a database with.
    """
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "settings.toml").write_text(settings)
        if key is not None:
            (home / "key").write_bytes(key)
            (home / "key").chmod(0o600)
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        environment = {"OUTCROP_HOME": folder}
        argv = [sys.executable, "-m", "outcrop", "serve", "--port", str(port), *options]
        with process(argv, f"{url}/health", environment=environment, log=home / "serve.log") as running:
            lines = subprocess.run(
                [sys.executable, "-m", "outcrop", "env"],
                env=running.environment,
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            exported = dict(line.removeprefix("export ").split("=", 1) for line in lines.splitlines() if "=" in line)
            yield Running(url, running.process, {**running.environment, **exported})


def write_results(name: str, results: object) -> Path:
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(results, indent=1))
    return path
