"""Processes that start, crash, hang and end: real ones, a few lines of Python each."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from outcrop.engines import supervisor
from outcrop.engines.engine import EngineFailed
from outcrop.engines.supervisor import Launch, Supervisor
from tests.engines.waiting import until

FOREVER = "import time; time.sleep(600)"


async def at_once() -> bool:
    return True


async def never() -> bool:
    return False


def launching(
    tmp_path: Path, code: str = FOREVER, ready: Callable[[], Awaitable[bool]] = at_once, seconds: float = 20
) -> Supervisor:
    return Supervisor("a model", lambda: Launch([sys.executable, "-c", code], {}, ready, tmp_path / "log", seconds))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


def test_many_who_wait_get_one_process(tmp_path: Path) -> None:
    async def run() -> None:
        process = launching(tmp_path)
        await asyncio.gather(*(process.start() for _ in range(20)))
        first = process.pid
        assert first is not None
        await process.start()
        assert process.pid == first
        await process.stop()
        assert process.state == "idle"
        assert not alive(first)
        await process.stop()

    asyncio.run(run())


def test_one_who_gives_up_does_not_end_the_start(tmp_path: Path) -> None:
    async def run() -> None:
        process = launching(tmp_path)
        impatient = asyncio.create_task(process.start())
        await asyncio.sleep(0)
        impatient.cancel()
        await process.start()
        assert process.state == "ready"
        await process.stop()

    asyncio.run(run())


def test_a_killed_process_is_started_again(tmp_path: Path) -> None:
    async def run() -> None:
        process = launching(tmp_path)
        await process.start()
        first = process.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: process.state == "failed")
        assert "ended with -9" in process.problem
        await until(lambda: process.state == "ready")
        assert process.pid not in (None, first)
        assert process.restarts == 1
        await process.stop()

    asyncio.run(run())


def test_a_request_waits_for_a_restart_that_is_near(tmp_path: Path) -> None:
    async def run() -> None:
        process = launching(tmp_path)
        await process.start()
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        await until(lambda: process.state == "failed")
        await process.start()
        assert process.state == "ready"
        await process.stop()

    asyncio.run(run())


def test_what_it_printed_is_for_the_operator(tmp_path: Path) -> None:
    async def run() -> None:
        process = launching(tmp_path, "import sys; print('no such file: x.gguf'); sys.exit(3)", never)
        with pytest.raises(EngineFailed) as caught:
            await process.start()
        assert str(caught.value).splitlines()[0] == "a model ended with 3 while starting."
        assert "no such file" in str(caught.value)
        assert process.state == "failed"
        assert process.problem == "a model ended with 3 while starting."

    asyncio.run(run())


def test_pauses_grow_and_a_far_start_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_BACKOFF_SECONDS", 30.0)

    async def run() -> None:
        process = launching(tmp_path, "raise SystemExit(1)", never)
        with pytest.raises(EngineFailed, match="while starting"):
            await process.start()
        with pytest.raises(EngineFailed, match=r"is started again in (29|30)\.\d s"):
            await process.start()
        await process.stop()
        with pytest.raises(EngineFailed, match="while starting"):
            await process.start()

    asyncio.run(run())


def test_a_process_that_is_never_ready_is_ended(tmp_path: Path) -> None:
    async def run() -> None:
        process = launching(tmp_path, f"print('hello', flush=True); {FOREVER}", never, seconds=0.5)
        with pytest.raises(EngineFailed, match=r"was not ready within 0\.5 s"):
            await process.start()
        assert process.pid is None

    asyncio.run(run())


def test_a_program_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    async def run() -> None:
        launch = Launch([str(tmp_path / "nothing")], {}, at_once, tmp_path / "log", 5)
        with pytest.raises(EngineFailed, match=r"a model could not be started: .*nothing"):
            await Supervisor("a model", lambda: launch).start()

    asyncio.run(run())


def test_children_of_the_process_end_with_it(tmp_path: Path) -> None:
    code = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', '{FOREVER}']); print(p.pid, flush=True); p.wait()"

    async def run() -> None:
        process = launching(tmp_path, code)
        await process.start()
        await until(lambda: (tmp_path / "log").read_text().strip().isdigit())
        child = int((tmp_path / "log").read_text())
        assert alive(child)
        await process.stop()
        await until(lambda: not alive(child))

    asyncio.run(run())


def test_a_process_that_ignores_the_polite_signal_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "STOP_SECONDS", 0.3)
    code = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); {FOREVER}"

    async def run() -> None:
        process = launching(tmp_path, code)
        await process.start()
        await until(lambda: "up" in (tmp_path / "log").read_text())
        pid = process.pid
        assert pid is not None
        await process.stop()
        assert not alive(pid)

    asyncio.run(run())
