"""System calls that no program of a model needs: sockets, other processes' memory, and doors into the kernel."""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from outcrop.evaluation.sandbox.libc import PR_SET_SECCOMP, prctl

_FILTER = 2
_LOAD, _EQUAL, _NOT_LESS, _RETURN = 0x20, 0x15, 0x35, 0x06
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
# Above it on x86-64 are the same calls once more, under the x32 interface.
_X32 = 0x40000000
# socket, ptrace, process_vm_readv and _writev, add_key, request_key, keyctl, unshare, setns, perf_event_open, bpf,
# userfaultfd, io_uring_setup (which opens sockets too).
_REFUSED = {
    "x86_64": (0xC000003E, (41, 101, 310, 311, 248, 249, 250, 272, 308, 298, 321, 323, 425)),
    "aarch64": (0xC00000B7, (198, 117, 270, 271, 217, 218, 219, 97, 268, 241, 280, 282, 425)),
}


def restrict() -> bool:
    """False on a processor whose calls are not known here, or a kernel without filters. Needs PR_SET_NO_NEW_PRIVS."""
    if os.uname().machine not in _REFUSED:
        return False
    architecture, numbers = _REFUSED[os.uname().machine]
    # A jump counts from the step after it: what is refused goes over the other comparisons and the return that allows.
    tests = [_step(_EQUAL, number, if_true=len(numbers) - place) for place, number in enumerate(numbers)]
    steps = [
        _step(_LOAD, 4),
        _step(_EQUAL, architecture, if_false=len(numbers) + 3),
        _step(_LOAD, 0),
        _step(_NOT_LESS, _X32, if_true=len(numbers) + 1),
        *tests,
        _step(_RETURN, _ALLOW),
        _step(_RETURN, _ERROR | errno.EPERM),
    ]
    code = ctypes.create_string_buffer(b"".join(steps))
    program = ctypes.create_string_buffer(struct.pack("@HP", len(steps), ctypes.addressof(code)))
    try:
        prctl(PR_SET_SECCOMP, _FILTER, program)
    except OSError:
        return False
    return True


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
