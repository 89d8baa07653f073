"""A real server for tests: `outcrop serve` as a process on loopback, with a home folder of its own."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.stores import settings_of, store_at


@dataclass(frozen=True)
class Server:
    """`environment` connects AWS clients: endpoints, keys, region, and the authority where TLS is on."""

    url: str
    home: Path
    process: subprocess.Popen[bytes]
    environment: Mapping[str, str]

    @property
    def log(self) -> str:
        return (self.home / "serve.log").read_text()

    def says(self, *texts: str, seconds: float = 10) -> bool:
        """Whether one line of the log has them all, which may come a moment after the answer that it is about."""
        deadline = time.monotonic() + seconds
        while not any(all(text in line for text in texts) for line in self.log.splitlines()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(home: Path) -> dict[str, str]:
    """No AWS settings of the person who runs the tests leak in, and no proxies."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "OUTCROP_")) and "proxy" not in k.lower()}
    nowhere = str(home / "no-such-file")
    return {**kept, "OUTCROP_HOME": str(home), "AWS_CONFIG_FILE": nowhere, "AWS_SHARED_CREDENTIALS_FILE": nowhere}


@contextlib.contextmanager
def serve(home: Path, *options: str, settings: str = "", more: Mapping[str, str] | None = None) -> Iterator[Server]:
    """`more` are further variables of its environment."""
    home.mkdir(parents=True, exist_ok=True)
    if text := settings if "[store]" in settings else settings + settings_of(store_at(home)):
        (home / "settings.toml").write_text(text)
    environment = {**clean_environment(home), **(more or {})}
    port = free_port()
    with (home / "serve.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "outcrop", "serve", "--port", str(port), *options],
            env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        _wait(port, process, home)
        printed = subprocess.run(
            [sys.executable, "-m", "outcrop", "env"], env=environment, check=True, capture_output=True, text=True
        ).stdout
        variables = exported(printed)
        yield Server(variables["AWS_ENDPOINT_URL_BEDROCK"], home, process, {**environment, **variables})
    finally:
        stop(process)


def exported(lines: str) -> dict[str, str]:
    """The variables that `outcrop env` has a shell set."""
    pairs = (line.removeprefix("export ").partition("=") for line in lines.splitlines() if line.startswith("export "))
    return {name: "".join(shlex.split(value)) for name, _, value in pairs}


def stop(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(port: int, process: subprocess.Popen[bytes], home: Path) -> None:
    for _ in range(1200):
        if process.poll() is not None:
            raise AssertionError(f"outcrop serve ended with {process.returncode}:\n{(home / 'serve.log').read_text()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(f"outcrop serve does not listen:\n{(home / 'serve.log').read_text()}")


def get(url: str) -> tuple[int, bytes]:
    """Status and body of a GET, errors included."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - loopback
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
