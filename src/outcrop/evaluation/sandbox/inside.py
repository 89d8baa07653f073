"""The inside of the sandbox: a bare interpreter that knows the standard library, and of ours only this folder.

Three processes: the outer one makes the namespaces; the keeper, the first in the process namespace, ends everything when
its child is done; the child puts up the last walls and becomes the program.
"""

from __future__ import annotations

import marshal
import os
import signal
import sys
import time
from contextlib import suppress
from types import ModuleType
from typing import Any, NoReturn

from outcrop.evaluation.sandbox import landlock, namespaces, privileges, seccomp
from outcrop.evaluation.sandbox.libc import (
    PR_SET_CHILD_SUBREAPER,
    PR_SET_DUMPABLE,
    PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
    prctl,
)

# Without these a program may only run if whoever runs it takes that on.
NEEDED = ("network", "files", "user")
NONE = "none"


class Inside:
    """One program on its way through the three processes. `order` is what `run.py` sends."""

    def __init__(self, order: dict[str, Any], report: int) -> None:
        self.order, self.report, self.told = order, report, order["told"] + " "
        self.without = order["without"]
        self.linux = sys.platform == "linux" and "linux" not in self.without
        self.namespace: str | None = None
        self.walls = dict.fromkeys(("network", "files", "user"), NONE)
        self.walls |= {"processes": "session", "disk": "size of a file", "memory": "of each process"}
        self.seed = os.getpid()

    def say(self, word: str, text: str) -> None:
        coded = text.encode("utf-8", "backslashreplace").hex()
        with suppress(OSError):
            os.write(self.report, f"{self.told}{word} {coded}\n".encode())

    def outer(self) -> None:
        if self.linux:
            prctl(PR_SET_CHILD_SUBREAPER, 1)
            self._join_cgroups()
            if "namespaces" not in self.without:
                self.namespace = namespaces.separate()
        if self.namespace is None:
            signal.signal(signal.SIGTERM, lambda *_: self._end_all())
        keeper = os.fork()
        if keeper == 0:
            self.keeper()
        os.waitpid(keeper, 0)
        self._end_all()

    def _join_cgroups(self) -> None:
        for path in self.order["cgroups"]:
            with open(path, "w") as processes:
                processes.write("0")
        if self.order["cgroups"]:
            self.walls["memory"] = "of all together"

    def _end_all(self) -> NoReturn:
        """A namespace ends with its keeper. Without one, what got away is a child by now, or will be."""
        if self.linux and self.namespace is None:
            end_descendants()
        os._exit(0)

    def keeper(self) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if self.linux:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if self.namespace is not None:
            self.walls["network"] = self.walls["processes"] = "namespace"
            if "root" not in self.without and namespaces.own_root(self.order["folder"], self.order["limits"]["disk"]):
                self.walls["files"] = self.walls["disk"] = "own root"
                self.order["folder"] = "/tmp"  # noqa: S108 - of the own root
        child = os.fork()
        if child == 0:
            self.child()
        while True:
            ended, status = os.wait()
            if ended == child:
                self.say("ended", str(os.waitstatus_to_exitcode(status)))
                os._exit(0)

    def child(self) -> NoReturn:
        try:
            self._wall_up()
        except Exception as problem:
            self.say("broken", f"{type(problem).__name__}: {problem}")
            os._exit(1)
        self.say("walls", ",".join(f"{name}={wall}" for name, wall in self.walls.items()))
        if not self.order["unwalled"] and any(self.walls[name] == NONE for name in NEEDED):
            self.say("refused", "")
            os._exit(1)
        wrong = run(self.order["program"])
        self.say("failed" if wrong else "passed", wrong or "")
        os._exit(1 if wrong else 0)

    def _wall_up(self) -> None:
        sys.path[:] = [os.path.realpath(path) for path in sys.path]
        running = {"user": 2, "root": 0, None: 0}[self.namespace]
        if self.linux and self.namespace is None and os.geteuid() != 0:
            running = privileges.threads_of(os.geteuid())
        if self.linux:
            prctl(PR_SET_NO_NEW_PRIVS, 1)
            if "landlock" not in self.without and landlock.restrict(self.order["folder"]):
                self._add("files", "Landlock")
        privileges.limit(self.order["limits"], running)
        if os.geteuid() != 0:
            self.walls["user"] = "the same"
            if self.namespace == "user":
                privileges.drop_capabilities()
        elif "user" not in self.without and privileges.become_another(self.seed) is not None:
            self.walls["user"] = "another"
        if self.linux:
            if "seccomp" not in self.without and seccomp.restrict():
                self._add("network", "seccomp")
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            prctl(PR_SET_DUMPABLE, 0)

    def _add(self, name: str, wall: str) -> None:
        self.walls[name] = wall if self.walls[name] == NONE else f"{self.walls[name]} + {wall}"


def run(program: str) -> str | None:
    """None if it ran to its end; leaving early by sys.exit is no such end."""
    module = ModuleType("__main__")
    sys.modules["__main__"], sys.argv = module, ["program.py"]
    try:
        exec(compile(program, "program.py", "exec"), module.__dict__)  # noqa: S102 - what all of this is for
    except MemoryError:
        return "It needed more memory than it may have."
    except SystemExit as left:
        return f"It left with sys.exit({left.code!r:.100}) before its end."
    except BaseException as problem:
        return told(problem)
    finally:
        with suppress(BaseException):
            sys.stdout.flush()
    return None


def told(problem: BaseException) -> str:
    """Its class may be the program's own, and do anything when it is asked for its text. Our own frame is not shown."""
    with suppress(BaseException):
        own = problem.__traceback__
        sys.__excepthook__(type(problem), problem.with_traceback(own and own.tb_next), None)
    with suppress(BaseException):
        return f"{type(problem).__name__}: {problem}".removesuffix(": ")[:1000]
    return "It raised what cannot be shown."


def end_descendants() -> None:
    """All are stopped before the first is killed, or one that forks would take the place of one that ends."""
    with suppress(ChildProcessError):
        while True:
            stopped: set[int] = set()
            while new := descendants() - stopped:
                for process in new:
                    send(process, signal.SIGSTOP)
                stopped |= new
            for process in stopped:
                send(process, signal.SIGKILL)
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
            time.sleep(0.002)


def send(process: int, number: signal.Signals) -> None:
    with suppress(OSError):
        os.kill(process, number)


def descendants() -> set[int]:
    """Of this process, as /proc has it."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        with suppress(OSError, ValueError), open(f"/proc/{name}/stat") as stat:
            parents[int(name)] = int(stat.read().rpartition(")")[2].split()[1])
    found: set[int] = set()
    while more := {child for child, parent in parents.items() if parent in {os.getpid(), *found}} - found:
        found |= more
    return found


def main(report: int) -> None:
    order = marshal.loads(sys.stdin.buffer.read())  # noqa: S302 - from the process that started this one
    sys.dont_write_bytecode = True
    Inside(order, report).outer()
