"""Which files of the machine a program needs: the standard library, what it is linked with, and a few devices."""

from __future__ import annotations

import os
import sys

DEVICES = ("/dev/null", "/dev/zero", "/dev/urandom", "/dev/random")
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")


def readable() -> list[str]:
    """Real paths, none within another."""
    standard = os.path.dirname(os.__file__)
    wanted = {standard, *sys.path, os.path.join(sys.base_prefix, "lib"), *_LIBRARIES}
    wanted |= {"/etc/ld.so.cache", "/usr/share/zoneinfo"}
    real = sorted({os.path.realpath(path) for path in wanted if path and os.path.exists(path)})
    return [path for path in real if not any(path.startswith(other + os.sep) for other in real)]


def links() -> dict[str, str]:
    """Of the folders of libraries, those that only point to another."""
    return {path: os.path.realpath(path) for path in _LIBRARIES if os.path.islink(path)}


def open_to_all(path: str) -> bool:
    """Whether any user may go there."""
    while path != os.sep:
        if not os.stat(path).st_mode & 0o001:
            return False
        path = os.path.dirname(path)
    return True
