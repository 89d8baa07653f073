"""Whatever is killed, the rest does the right thing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live import Server, clean_environment, serve, stop
from tests.serve.calls import call, said

HOUSE = "/model/outcrop.house-nano-v1%3A0/converse"

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="processes are looked up in /proc")


def children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.name))
        except (OSError, IndexError):
            continue
    return found


def tree(pid: int) -> list[int]:
    return [pid, *(inner for child in children(pid) for inner in tree(child))]


def alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def command(pid: int) -> str:
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def until(condition: Callable[[], bool], what: str) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(what)


def answers(server: Server) -> bool:
    try:
        return call(server, HOUSE, said("Hello")).status == 200
    except OSError:
        return False


def engine_of(server: Server) -> int:
    return next(pid for pid in tree(server.process.pid) if "llamacpp.worker" in command(pid))


def test_a_killed_engine_is_started_again_and_the_server_lives(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        assert answers(server)
        killed = engine_of(server)
        os.kill(killed, signal.SIGKILL)
        until(lambda: answers(server), "the model never came back")
        assert engine_of(server) != killed


def test_a_killed_worker_is_replaced_with_its_engines(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        assert answers(server)
        engine = engine_of(server)
        worker = next(pid for pid in children(server.process.pid) if engine in tree(pid))
        os.kill(worker, signal.SIGKILL)
        until(lambda: not alive(engine), "the engine outlived its worker")
        until(lambda: answers(server), "no new worker answers")


def test_nothing_outlives_a_killed_server(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        assert answers(server)
        everything = tree(server.process.pid)
        assert len(everything) >= 3
        os.kill(server.process.pid, signal.SIGKILL)
        until(lambda: not any(map(alive, everything)), f"still there: {[command(pid) for pid in everything]}")


def test_a_polite_stop_leaves_nothing_behind(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        assert answers(server)
        everything = tree(server.process.pid)
        assert (tmp_path / "server.json").exists()
        stop(server.process)
        assert server.process.returncode == 0
        until(lambda: not any(map(alive, everything)), "something was left behind")
        assert not (tmp_path / "server.json").exists()


def test_the_server_never_imports_torch(tmp_path: Path) -> None:
    with serve(tmp_path) as server:
        assert answers(server)
        for pid in tree(server.process.pid):
            assert "libtorch" not in (Path("/proc") / str(pid) / "maps").read_text()


def test_an_answered_write_survives_a_kill(tmp_path: Path) -> None:
    environment = clean_environment(tmp_path)
    with serve(tmp_path) as server:
        made = subprocess.run(
            [sys.executable, "-m", "outcrop", "aliases", "set", "some.model-v1:0", "outcrop.house-nano-v1:0"],
            env=environment, check=True, capture_output=True,
        )  # fmt: skip
        assert made.returncode == 0
        until(lambda: call(server, "/model/some.model-v1%3A0/converse", said("Hello")).status == 200, "no such alias")
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
    with serve(tmp_path) as again:
        assert call(again, "/model/some.model-v1%3A0/converse", said("Hello")).status == 200
