"""The trainer's process: started, followed by its JSON lines, ended."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import Any

import orjson

from outcrop.encryption import working

MODULE = "outcrop.training.customizing"
# A line of its output; a thousand problems fit.
LINE_BYTES = 4 * 1024 * 1024
# One that is told to end, and one of a server that was killed, are gone within this.
END_SECONDS = 4.0
OTHER_SECONDS = 30.0
NICENESS = 10
TAIL_LINES = 5


# Spec, log and the key of the files that the spec names → what is said.
# What is sent back is said to the trainer.
Follow = Callable[[Path, Path, str | None], AsyncGenerator[Mapping[str, Any], Mapping[str, Any] | None]]


class TrainerCrashed(Exception):
    """It ended without saying how the training went. Worth trying again, from its checkpoint."""


class TrainerBusy(Exception):
    """An earlier trainer of the same job, of a server that was killed, has not ended."""


async def messages(
    spec: Path, log: Path, key: str | None = None, module: str = MODULE
) -> AsyncGenerator[Mapping[str, Any], Mapping[str, Any] | None]:
    """What the trainer says, up to how it ended: `done`, `invalid` or `failed`. Closing it kills the process.

    What is sent into it (`asend`) is said to the trainer, as the reply to what it just said.

    While it lives it holds a lock beside the spec, so that two never write into one folder.
    """
    lock = await _locked(spec.with_suffix(".lock"))
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", module, str(spec),
                # It ends when its input does, which is when this server does, however that happens.
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors, limit=LINE_BYTES,
                start_new_session=True, pass_fds=(lock,), env=os.environ if key is None else {**os.environ, working.VARIABLE: key},
            )  # fmt: skip
    finally:
        os.close(lock)
    try:
        with contextlib.suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
        assert process.stdout is not None
        ended = False
        async for line in process.stdout:
            if (message := _message(line)) is not None:
                ended = ended or message["type"] in ("done", "invalid", "failed")
                reply = yield message
                if reply is not None and process.stdin is not None:
                    process.stdin.write(orjson.dumps(reply) + b"\n")
                    await process.stdin.drain()
        code = await process.wait()
        if not ended:
            raise TrainerCrashed(f"the trainer ended with {code}. {_tail(log)}".strip())
    finally:
        await _end(process)


async def _locked(path: Path) -> int:
    """A descriptor that holds the lock. TrainerBusy if another holds it for too long."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = asyncio.get_running_loop().time() + OTHER_SECONDS
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if asyncio.get_running_loop().time() > deadline:
                os.close(lock)
                raise TrainerBusy("an earlier trainer of this job has not ended") from None
            await asyncio.sleep(0.1)
        except BaseException:
            os.close(lock)
            raise
        else:
            return lock


def _message(line: bytes) -> Mapping[str, Any] | None:
    """None for what is no message: a library may print."""
    try:
        message = orjson.loads(line)
    except orjson.JSONDecodeError:
        text = line.decode("utf-8", "replace").strip()
        return {"type": "line", "text": text} if text else None
    return message if isinstance(message, dict) and "type" in message else None


async def _end(process: asyncio.subprocess.Process) -> None:
    """With all that it started."""
    if process.stdin is not None:
        process.stdin.close()
    for kind in (signal.SIGTERM, signal.SIGKILL):
        if process.returncode is not None:
            break
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, kind)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(_exit(process)), END_SECONDS)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


async def _exit(process: asyncio.subprocess.Process) -> None:
    await process.wait()


def _tail(log: Path) -> str:
    try:
        return " / ".join(log.read_text("utf-8", "replace").splitlines()[-TAIL_LINES:])
    except OSError:
        return ""
