"""Landlock: what a process gives up for itself and all that come of it, root's or not."""

from __future__ import annotations

import os
import stat
import struct

from outcrop.evaluation.sandbox import places
from outcrop.evaluation.sandbox.libc import syscall

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_FOLDER, _TRUNCATE, _IOCTL = 1, 2, 4, 8, 1 << 14, 1 << 15
# All rights over files that each version knows; from 4 on TCP, from 6 on signals and abstract sockets.
_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_TCP, _SCOPES = 3, 3


def restrict(writable: str) -> bool:
    """Files to be written in that folder, the standard library to be read, and nothing else. False where the kernel has none of it.

    Opens the places, so it comes before rights are given up.
    """
    try:
        version = syscall(_CREATE, None, 0, 1)
    except OSError:
        return False
    files = _FILES[min(version, 5)]
    attributes = struct.pack("=QQQ", files, _TCP if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    ruleset = syscall(_CREATE, attributes, 8 if version < 4 else 16 if version < 6 else 24, 0)
    _allow(ruleset, writable, files & ~_EXECUTE)
    for path in places.readable():
        _allow(ruleset, path, _READ_FILE | _READ_FOLDER)
    for path in places.DEVICES:
        _allow(ruleset, path, files & (_READ_FILE | _WRITE_FILE | _IOCTL))
    syscall(_RESTRICT, ruleset, 0)
    os.close(ruleset)
    return True


def _allow(ruleset: int, path: str, rights: int) -> None:
    if not os.path.exists(path):
        return
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    if not stat.S_ISDIR(os.fstat(place).st_mode):
        rights &= _READ_FILE | _WRITE_FILE | _TRUNCATE | _IOCTL
    syscall(_ADD, ruleset, 1, struct.pack("=Qi", rights, place), 0)
    os.close(place)
