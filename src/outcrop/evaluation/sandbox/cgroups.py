"""A bound for all processes of a program together, where we may make control groups (root outside a container)."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


@contextmanager
def bounded(name: str, processes: int, memory: int) -> Iterator[list[str]]:
    """Gives the files to which a process writes itself; none of them where it cannot be had. Gone afterwards."""
    groups: list[Path] = []
    try:
        try:
            groups = _made(name, processes, memory)
        except OSError:
            groups = []
        yield [str(group / "cgroup.procs") for group in groups]
    finally:
        for group in _wanted(name, processes, memory):
            _remove(group)


def _wanted(name: str, processes: int, memory: int) -> dict[Path, dict[str, int]]:
    """Group → its limits; of the second version if that is what there is, else of the first."""
    if (ROOT / "cgroup.controllers").exists():
        return {ROOT / name: {"pids.max": processes, "memory.max": memory}}
    return {
        ROOT / "pids" / name: {"pids.max": processes},
        ROOT / "memory" / name: {"memory.limit_in_bytes": memory},
    }


def _made(name: str, processes: int, memory: int) -> list[Path]:
    wanted = _wanted(name, processes, memory)
    if os.geteuid() != 0:
        return []
    for group, limits in wanted.items():
        group.mkdir()
        for file, value in limits.items():
            (group / file).write_text(str(value))
    return list(wanted)


def _remove(group: Path) -> None:
    """Its last process may still be on its way out."""
    for _ in range(100):
        if not group.exists():
            return
        with suppress(OSError):
            group.rmdir()
            return
        time.sleep(0.005)
