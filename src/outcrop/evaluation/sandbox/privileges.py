"""Who the program is, and how much it may use."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from outcrop.evaluation.sandbox import places
from outcrop.evaluation.sandbox.libc import call

_CAPABILITIES_3 = 0x20080522
NOBODY = 65534


def spare_users(seed: int) -> tuple[int, ...]:
    """Users that nobody is, the last one but for its own name; the first is out of the range of a rootless container."""
    return 1_900_000_000 + seed % 90_000_000, 61_000 + seed % 3_000, NOBODY


def become_another(seed: int) -> int | None:
    """Root becomes one of them for good, without groups and capabilities. None if it may not, or could read no library then."""
    if not places.open_to_all(os.path.realpath(os.path.dirname(os.__file__))):
        return None
    for user in spare_users(seed):
        with suppress(OSError):
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            return user
    return None


def drop_capabilities() -> None:
    """Those that whoever makes a namespace has in it."""
    nothing = ctypes.create_string_buffer(struct.pack("=6I", 0, 0, 0, 0, 0, 0))
    call("capset", ctypes.create_string_buffer(struct.pack("=Ii", _CAPABILITIES_3, 0)), nothing)


def limit(limits: Mapping[str, float], running: int) -> None:
    """`running`: processes that the program's user has besides it, and that count as well."""
    seconds = int(limits["seconds"]) + 1
    for name, value in (
        ("RLIMIT_CPU", seconds),
        ("RLIMIT_AS", limits["memory"]),
        ("RLIMIT_FSIZE", limits["file"]),
        ("RLIMIT_NOFILE", limits["files"]),
        ("RLIMIT_NPROC", limits["processes"] + running),
        ("RLIMIT_CORE", 0),
    ):
        # macOS refuses some of them.
        with suppress(OSError, ValueError, AttributeError):
            resource.setrlimit(getattr(resource, name), (int(value), int(value)))
    # Else a file that grows too large ends the program without a word.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def threads_of(user: int) -> int:
    """What a user has on the machine besides us, as RLIMIT_NPROC counts; 0 where there is no /proc to tell."""
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if process.name != str(os.getpid()) and process.stat().st_uid == user:
                count += len(os.listdir(process / "task"))
    return count
