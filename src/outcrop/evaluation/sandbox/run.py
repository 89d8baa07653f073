"""One program, in processes of its own: what it may use, and how it ended.

The walls are the kernel's, and the strongest that it lets us have: namespaces (network, processes, and a root that holds
nothing but the standard library), Landlock, seccomp, another user, control groups, resource limits. `walls` says which
they are. Without a wall for network and files nothing is run, unless whoever asks takes that on.
"""

from __future__ import annotations

import marshal
import os
import secrets
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import outcrop
from outcrop.engines.cores import usable_cores
from outcrop.evaluation.sandbox import cgroups

MEGABYTE = 1024 * 1024
UNWALLED = "OUTCROP_UNWALLED_PROGRAMS"
_SOURCE = str(Path(outcrop.__file__).resolve().parents[1])
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]); from outcrop.evaluation.sandbox import inside; del sys.path[0]; "
    "inside.main(int(sys.argv[2]))"
)
# What the interpreter and the walls may take before the program's own time begins.
_START_SECONDS = 30.0
_END_SECONDS = 5.0
_REPORT_BYTES = 16 * 1024
# Output above what is kept is thrown away; above this the program is ended.
_OUTPUT_BYTES = 16 * MEGABYTE

# Programs that run at once slow each other down, and a time limit must not hang on that.
_room = threading.BoundedSemaphore(usable_cores())


class SandboxError(Exception):
    """A sentence: this machine has no walls, or they do not stand."""


@dataclass(frozen=True, slots=True)
class Limits:
    """`seconds` of the clock, and no more of the processor; `processes` counts threads; sizes in bytes.

    `memory` holds for each process, and where there are control groups for all together; `disk` only for a program with
    a root of its own.
    """

    seconds: float = 5.0
    memory: int = 1024 * MEGABYTE
    file: int = 16 * MEGABYTE
    disk: int = 64 * MEGABYTE
    files: int = 64
    processes: int = 16
    output: int = 64 * 1024


@dataclass(frozen=True, slots=True)
class Verdict:
    """`passed`: it ran to its end without an exception. `problem`: what it raised, or what ended it.

    `exit` as of a shell's child, negative for a signal, None if it had to be ended. `output`: what it wrote to both
    streams, up to the limit.
    """

    outcome: Literal["passed", "failed", "timeout", "killed"]
    exit: int | None
    output: str
    seconds: float
    problem: str = ""
    walls: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return self.outcome == "passed"


def run_program(source: str, limits: Limits | None = None, *, unwalled: bool | None = None) -> Verdict:
    """Run it. Whatever it does, this returns soon after its time is over. Blocks; from any thread.

    `unwalled` (by default the environment's OUTCROP_UNWALLED_PROGRAMS=1): run it even where network and files stay open to
    it. Else SandboxError there. A program that is made to forge its verdict can: its tests run in its own interpreter.
    """
    if unwalled is None:
        unwalled = os.environ.get(UNWALLED) == "1"
    return _run(source, limits or Limits(), unwalled)


@cache
def walls() -> Mapping[str, str]:
    """Which walls there are on this machine: network, files, user, processes, disk, memory → what they are made of."""
    return _run("", Limits(), unwalled=True).walls


def _run(source: str, limits: Limits, unwalled: bool, without: tuple[str, ...] = ()) -> Verdict:
    """`without`: walls that are left out, as if the system did not have them."""
    name = f"outcrop-program-{secrets.token_hex(6)}"
    folder = tempfile.mkdtemp(prefix="outcrop-program-")
    os.chmod(folder, 0o777)  # noqa: S103 - the program's user is another one, and the folder is only its own
    together = limits.memory + limits.disk + 64 * MEGABYTE
    try:
        with _room, cgroups.bounded(name, limits.processes + 2, together) as groups:
            order = {
                "program": source.encode("utf-8", "replace").decode(),
                "folder": folder,
                "told": secrets.token_hex(16),
                "limits": asdict(limits),
                "unwalled": unwalled,
                "without": without,
                "cgroups": [] if "cgroups" in without else groups,
            }
            return _Watched(order, limits).verdict()
    finally:
        # Not tempfile's own clean-up: it follows links when it resets modes.
        shutil.rmtree(folder, ignore_errors=True)


class _Watched:
    """The program's outer process, and what comes out of it."""

    def __init__(self, order: dict[str, Any], limits: Limits) -> None:
        self.limits, self.mark = limits, f"{order['told']} ".encode()
        self.kept, self.wrote, self.received = b"", 0, b""
        self.said: dict[str, str] = {}
        self.reading, writing = os.pipe()
        # From here: without our environment, our standard streams, our open files, our terminal.
        self.process = subprocess.Popen(  # noqa: S603 - this interpreter, our own text
            [sys.executable, "-I", "-S", "-X", "utf8", "-c", _BOOT, _SOURCE, str(writing)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={},
            cwd=order["folder"],
            pass_fds=(writing,),
            start_new_session=True,
        )
        os.close(writing)
        assert self.process.stdin is not None
        with suppress(BrokenPipeError), self.process.stdin as orders:
            orders.write(marshal.dumps(order))

    def verdict(self) -> Verdict:
        begun = None
        deadline = time.monotonic() + _START_SECONDS
        try:
            while (left := deadline - time.monotonic()) > 0 and not self._over():
                self._listen(left)
                if begun is None and "walls" in self.said:
                    begun = time.monotonic()
                    deadline = begun + self.limits.seconds
            ended = time.monotonic()
        finally:
            self._end()
        if begun is None or "refused" in self.said:
            raise SandboxError(self._why_not(self.said.get("walls")))
        return self._judged(ended - begun)

    def _over(self) -> bool:
        return "ended" in self.said or "closed" in self.said or self.wrote > _OUTPUT_BYTES

    def _listen(self, seconds: float) -> None:
        """What comes within that time, of the report and of the output."""
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.reading, selectors.EVENT_READ)
            if not self.process.stdout.closed:
                selector.register(self.process.stdout, selectors.EVENT_READ)
            for key, _ in selector.select(max(seconds, 0)):
                if key.fileobj is self.process.stdout:
                    self._hear_output()
                else:
                    self._hear_report()

    def _hear_output(self) -> None:
        assert self.process.stdout is not None
        chunk = os.read(self.process.stdout.fileno(), 65536)
        self.wrote += len(chunk)
        self.kept += chunk[: self.limits.output - len(self.kept)]
        if not chunk:
            self.process.stdout.close()

    def _hear_report(self) -> None:
        """Only lines that begin with our mark are ours, and each word counts once."""
        chunk = os.read(self.reading, 4096)
        *lines, self.received = (self.received + chunk).split(b"\n")
        for line in lines:
            if line.startswith(self.mark):
                word, _, coded = line.removeprefix(self.mark).decode("utf-8", "replace").partition(" ")
                # Nothing is parsed but hexadecimal digits: a program that searches its interpreter finds the mark.
                with suppress(ValueError):
                    self.said.setdefault(word, bytes.fromhex(coded).decode("utf-8", "replace"))
        if not chunk or len(self.received) > _REPORT_BYTES:
            self.said["closed"] = ""

    def _end(self) -> None:
        """The outer process may want to end what it keeps; then its whole session ends, and with it its namespace."""
        self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(_END_SECONDS)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()
        deadline = time.monotonic() + 1
        assert self.process.stdout is not None
        while not self.process.stdout.closed and self.wrote <= _OUTPUT_BYTES and time.monotonic() < deadline:
            self._listen(0.05)
        self.process.stdout.close()
        os.close(self.reading)

    def _why_not(self, walls: str | None) -> str:
        if walls is None:
            return (
                f"The sandbox did not start: {self.said.get('broken') or self._output()[-500:] or 'no reason given'}."
            )
        missing = ", ".join(name for name, wall in _parsed(walls).items() if wall == "none")
        return (
            f"This system has no walls around programs of models ({missing}), so they are not run. On a machine that has "
            f"nothing to lose, {UNWALLED}=1 runs them with limits of time and memory only."
        )

    def _output(self) -> str:
        return self.kept.decode("utf-8", "replace")

    def _judged(self, seconds: float) -> Verdict:
        code = None
        with suppress(KeyError, ValueError):
            code = int(self.said["ended"])
        walls = _parsed(self.said["walls"])

        def verdict(outcome: Literal["passed", "failed", "timeout", "killed"], problem: str) -> Verdict:
            return Verdict(outcome, code, self._output(), seconds, problem, walls)

        if "passed" in self.said:
            return verdict("passed", "")
        if "failed" in self.said:
            return verdict("failed", self.said["failed"])
        if self.wrote > _OUTPUT_BYTES:
            return verdict("killed", f"It wrote more than {_OUTPUT_BYTES // MEGABYTE} MB.")
        if code == -signal.SIGXCPU or (code is None and seconds >= self.limits.seconds):
            return verdict("timeout", f"It ran longer than {self.limits.seconds:g} seconds.")
        if code is None or code < 0:
            return verdict("killed", f"It was ended by {_signal(code)}.")
        return verdict("failed", f"It left with status {code} before its end.")


def _parsed(walls: str) -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in walls.split(",") if "=" in pair)


def _signal(code: int | None) -> str:
    with suppress(ValueError):
        return signal.Signals(-code).name if code else "the system"
    return f"signal {-code}" if code else "the system"
