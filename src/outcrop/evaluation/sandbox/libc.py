"""Calls into Linux that Python's library has no function for. Each raises OSError where the kernel says no."""

from __future__ import annotations

import ctypes
import os
from typing import Any

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 36, 38

_libc = ctypes.CDLL(None, use_errno=True)


def syscall(number: int, *arguments: Any) -> int:
    """By number: a Python int goes as a C long, bytes as a pointer."""
    wide = [ctypes.c_long(one) if isinstance(one, int) else one for one in arguments]
    _libc.syscall.restype = ctypes.c_long
    return _checked(_libc.syscall(ctypes.c_long(number), *wide))


def call(name: str, *arguments: Any) -> int:
    """A function of libc that gives an int, -1 for an error."""
    wide = [ctypes.c_ulong(one) if isinstance(one, int) else one for one in arguments]
    return _checked(getattr(_libc, name)(*wide))


def prctl(option: int, value: int | Any, more: Any = 0) -> None:
    call("prctl", option, value, more, 0, 0)


def _checked(result: int) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
