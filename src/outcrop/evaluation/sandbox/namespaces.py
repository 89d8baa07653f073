"""A network, processes and files of the program's own, where the system lets us have them."""

from __future__ import annotations

import os
import struct
from contextlib import suppress

from outcrop.evaluation.sandbox import places
from outcrop.evaluation.sandbox.libc import call, syscall

_FILES, _UTS, _IPC, _USER, _PROCESSES, _NETWORK = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_NOSUID, _NODEV, _BIND, _RECURSIVE, _PRIVATE = 2, 4, 4096, 16384, 1 << 18
_DETACH = 2
_MOUNT_SETATTR, _AT_FDCWD, _AT_RECURSIVE = 442, -100, 0x8000
_ATTR_RDONLY, _ATTR_NOSUID = 1, 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
# Files and folders that the program may make.
_INODES = 2048


def separate() -> str | None:
    """The next process that is forked is the first of a namespace of its own.

    "root" or "user": by whose right; None where the system does not allow it.
    """
    wanted = _NETWORK | _PROCESSES | _IPC | _UTS | _FILES
    uid, gid = os.geteuid(), os.getegid()
    try:
        call("unshare", wanted | (_USER if uid else 0))
    except OSError:
        return None
    if uid == 0:
        return "root"
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"{uid} {uid} 1")
    _write("/proc/self/gid_map", f"{gid} {gid} 1")
    return "user"


def own_root(folder: str, size: int) -> bool:
    """Make a root that holds the standard library, and in it /tmp of `size` bytes, the only place to be written.

    False, and everything as before, where the system does not allow it.
    """
    machine = os.uname().machine
    if machine not in _PIVOT_ROOT:
        return False
    try:
        _mount(None, "/", None, _RECURSIVE | _PRIVATE)
        _mount("tmpfs", folder, "tmpfs", _NOSUID | _NODEV, "size=1m,mode=0755")
        for path in places.readable():
            _bind(path, folder + path, _ATTR_RDONLY | _ATTR_NOSUID)
        for path in places.DEVICES:
            _bind(path, folder + path, _ATTR_NOSUID)
        scratch = folder + "/tmp"  # noqa: S108 - of the new root
        os.mkdir(scratch)
        _mount("tmpfs", scratch, "tmpfs", _NOSUID | _NODEV, f"size={size},nr_inodes={_INODES},mode=1777")
        for path, target in {**places.links(), "/dev/shm": "/tmp"}.items():  # noqa: S108 - of the new root
            with suppress(FileExistsError):
                os.symlink(target, folder + path)
        _set(folder, _ATTR_RDONLY, recursive=False)
        os.chdir(folder)
        syscall(_PIVOT_ROOT[machine], b".", b".")
    except OSError:
        return False
    # The old root lies on top of the new one, and all that was mounted there goes with it.
    call("umount2", b".", _DETACH)
    os.chdir("/tmp")  # noqa: S108
    return True


def _bind(source: str, target: str, attributes: int) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o444))
    _mount(source, target, None, _BIND | _RECURSIVE)
    _set(target, attributes, recursive=True)


def _set(mounted: str, attributes: int, *, recursive: bool) -> None:
    wanted = struct.pack("=QQQQ", attributes, 0, 0, 0)
    syscall(_MOUNT_SETATTR, _AT_FDCWD, mounted.encode(), _AT_RECURSIVE if recursive else 0, wanted, len(wanted))


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str = "") -> None:
    call("mount", source and source.encode(), target.encode(), kind and kind.encode(), flags, options.encode() or None)


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)
