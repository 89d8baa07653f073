"""Programs that mean harm. Each is first shown to do it without walls, where that is safe to show."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from outcrop.evaluation.sandbox.run import MEGABYTE, Limits, Verdict
from tests.evaluation.sandbox.machines import MACHINES, Machine, needs

BRIEF = Limits(seconds=1.0, memory=256 * MEGABYTE, disk=8 * MEGABYTE, file=2 * MEGABYTE, processes=6)
# How a program marks its processes, so that they can be looked for afterwards.
NAMED = "import ctypes\nctypes.CDLL(None).prctl(15, {name!r}.encode(), 0, 0, 0)\n"


@pytest.fixture(params=MACHINES, ids=lambda machine: machine.name)
def machine(request: pytest.FixtureRequest) -> Machine:
    chosen: Machine = request.param
    needs(chosen)
    return chosen


@pytest.fixture
def canary() -> Iterator[Path]:
    """A file that everybody may read, change and remove."""
    folder = Path(tempfile.mkdtemp(prefix="canary-"))
    folder.chmod(0o777)
    (folder / "canary").write_text("alive")
    (folder / "canary").chmod(0o666)
    yield folder / "canary"
    shutil.rmtree(folder)


@pytest.fixture
def name() -> str:
    return f"hostile{secrets.token_hex(3)}"


def alive(name: str) -> int:
    """Processes on the whole machine that bear the name."""
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
            count += (process / "comm").read_text().strip() == name and state not in "ZX"
    return count


def all_gone(name: str) -> bool:
    deadline = time.monotonic() + 20
    while alive(name) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not alive(name)


def without_walls(source: str) -> str:
    done = subprocess.run([sys.executable, "-I", "-c", source], capture_output=True, text=True, check=False, timeout=60)
    return done.stdout


def test_a_fork_bomb_stays_small_and_ends(machine: Machine, name: str) -> None:
    bomb = NAMED.format(name=name) + "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass\n"
    verdicts: list[Verdict] = []
    running = threading.Thread(target=lambda: verdicts.append(machine.run(bomb, BRIEF)))
    running.start()
    most = 0
    while running.is_alive():
        most = max(most, alive(name))
    running.join()
    assert verdicts[0].outcome == "timeout"
    assert 2 <= most <= BRIEF.processes
    assert all_gone(name)


@pytest.mark.parametrize("grab", ["bytearray(2 << 30)", "[[0] * 100_000 for _ in range(10_000)]"])
def test_memory_has_an_end(machine: Machine, grab: str) -> None:
    # As long as it takes: on a busy machine memory comes slowly.
    verdict = machine.run(f"x = {grab}", replace(BRIEF, seconds=60.0))
    assert verdict.outcome == "failed"
    assert verdict.problem == "It needed more memory than it may have."


def test_what_is_outside_can_be_neither_changed_nor_removed(machine: Machine, canary: Path) -> None:
    program = f"""
import os, shutil
path = {str(canary)!r}
def tried(what, *arguments):
    try:
        what(*arguments)
        print("done:", what.__name__)
    except OSError:
        pass
tried(lambda: open(path, "w").write("dead"))
tried(os.truncate, path, 0)
tried(os.rename, path, path + ".moved")
tried(os.unlink, path)
tried(shutil.rmtree, os.path.dirname(path))
tried(os.chmod, path, 0)
"""
    assert "done: <lambda>" in without_walls(program)
    canary.parent.mkdir(exist_ok=True)
    canary.parent.chmod(0o777)
    canary.write_text("alive")
    canary.chmod(0o666)
    verdict = machine.run(program, BRIEF)
    assert "done" not in verdict.output
    assert canary.read_text() == "alive"


def test_a_link_leads_nowhere_and_is_not_followed_in_cleaning_up(machine: Machine, canary: Path) -> None:
    program = f"""
import os
os.symlink({str(canary)!r}, "file"); os.symlink({str(canary.parent)!r}, "folder"); os.symlink("/", "root")
for path in ("file", "folder/canary", "root" + {str(canary)!r}):
    for mode in ("r", "w"):
        try:
            open(path, mode)
            print("opened", path, mode)
        except OSError as problem:
            print(type(problem).__name__)
try:
    os.link({str(canary)!r}, "hard")
    print("opened by hard link")
except OSError:
    pass
"""
    verdict = machine.run(program, BRIEF)
    assert verdict.passed, verdict
    assert "opened" not in verdict.output
    assert canary.read_text() == "alive"


def test_the_disk_is_not_filled(machine: Machine) -> None:
    program = """
import os
whole = 0
for number in range(64):
    try:
        with open(f"file{number}", "wb", buffering=0) as file:
            for _ in range(64):
                whole += file.write(bytes(1 << 20))
    except OSError:
        pass
print(whole, max(os.path.getsize(one) for one in os.listdir(".")))
"""
    verdict = machine.run(program, Limits(seconds=20, disk=8 * MEGABYTE, file=2 * MEGABYTE))
    assert verdict.passed, verdict
    whole, largest = map(int, verdict.output.split())
    assert largest <= 2 * MEGABYTE
    if verdict.walls["disk"] == "own root":
        assert whole <= 8 * MEGABYTE


def test_endless_output_ends_and_is_not_kept(machine: Machine) -> None:
    verdict = machine.run("while True: print('x' * 10_000)", Limits(seconds=30))
    assert verdict.outcome == "killed"
    assert verdict.problem == "It wrote more than 16 MB."
    assert len(verdict.output) == Limits().output


@pytest.mark.parametrize(
    "wait",
    [
        "import time; time.sleep(1000)",
        "while True: pass",
        "import signal, time\nfor s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\nwhile True: time.sleep(1000)",
    ],
    ids=["sleeps", "computes", "ignores signals"],
)
def test_time_has_an_end(machine: Machine, wait: str, name: str) -> None:
    verdict = machine.run(NAMED.format(name=name) + wait, Limits(seconds=0.3))
    assert verdict.outcome == "timeout"
    assert verdict.problem == "It ran longer than 0.3 seconds."
    assert all_gone(name)


def test_a_daemon_does_not_survive_its_program(machine: Machine, name: str) -> None:
    program = (
        NAMED.format(name=name)
        + """
import os, time
os.close(1), os.close(2)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(1000)
    os._exit(0)
time.sleep(0.1)
"""
    )
    verdict = machine.run(program, BRIEF)
    assert verdict.passed
    assert all_gone(name)


@pytest.mark.parametrize("without", [(), ("seccomp",)], ids=["all walls", "without seccomp"])
def test_there_is_no_network(machine: Machine, without: tuple[str, ...], name: str) -> None:
    if "namespaces" in machine.without and without:
        pytest.skip("Here seccomp is the wall before the network.")
    with socket.create_server(("127.0.0.1", 0)) as tcp, _abstract(name) as unix, _datagrams() as udp:
        program = f"""
import socket
def tried(what):
    try:
        what()
        print("reached")
    except OSError as problem:
        print(type(problem).__name__)
tried(lambda: socket.create_connection({tcp.getsockname()!r}, 1))
tried(lambda: socket.socket(socket.AF_UNIX).connect("\\0" + {name!r}))
tried(lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"secret", {udp.getsockname()!r}))
"""
        assert without_walls(program).split() == ["reached"] * 3
        for one in (tcp, unix):
            one.accept()[0].close()
        udp.recv(100)
        verdict = machine.run(program, BRIEF, without=without)
        assert verdict.passed, verdict
        lines = verdict.output.split()
        assert len(lines) == 3
        assert lines[:2].count("reached") == 0
        for one in (tcp, unix, udp):
            one.setblocking(False)
        for listener in (tcp, unix):
            with pytest.raises(BlockingIOError):
                listener.accept()
        with pytest.raises(BlockingIOError):
            udp.recv(100)


@contextlib.contextmanager
def _abstract(name: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("\0" + name)
        listener.listen()
        yield listener


@contextlib.contextmanager
def _datagrams() -> Iterator[socket.socket]:
    with socket.socket(type=socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        yield listener


def test_secrets_cannot_be_read(machine: Machine, canary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = secrets.token_hex(16)
    monkeypatch.setenv("OUTCROP_TEST_SECRET", secret)
    (canary.parent / ".aws").mkdir(mode=0o755)
    (canary.parent / ".aws" / "credentials").write_text(secret)
    keeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    program = f"""
import glob, os
print(dict(os.environ))
home = {str(canary.parent)!r}
paths = [home + "/.aws/credentials", *glob.glob("/proc/*/environ"), *glob.glob("/proc/*/mem")]
paths += [f"/proc/{{one}}/environ" for one in (os.getppid(), {os.getpid()}, {keeper.pid}, "self")]
paths += ["/etc/passwd", "/etc/hostname", "/proc/self/root" + home + "/.aws/credentials", "../" + home, "/proc/1/environ"]
for path in paths:
    try:
        print(path, open(path, "rb").read(100_000))
    except OSError:
        pass
for folder in ("/", home, "/root", "/home", "/etc", "/proc", "/sys"):
    try:
        print("listed", folder, os.listdir(folder))
    except OSError:
        pass
"""
    try:
        assert secret in without_walls(program)
        verdict = machine.run(program, BRIEF)
    finally:
        keeper.communicate(b"\n")
    assert verdict.passed, verdict
    assert secret not in verdict.output
    assert "/environ" not in verdict.output
    assert "/etc/passwd" not in verdict.output
    assert f"listed {canary.parent}" not in verdict.output


def test_nothing_is_inherited(machine: Machine) -> None:
    """No variable, no open file of ours, no input."""
    held = os.open("/etc/hostname", os.O_RDONLY)
    os.set_inheritable(held, True)
    program = """
import os, sys
print({name for name in os.environ if not name.startswith("LC_")})
for number in range(3, 64):
    try:
        os.read(number, 1)
        print("read from", number)
    except OSError:
        pass
print(repr(sys.stdin.read()))
"""
    try:
        verdict = machine.run(program, BRIEF)
    finally:
        os.close(held)
    assert verdict.output == "set()\n''\n"


def test_other_processes_cannot_be_touched(machine: Machine) -> None:
    victim = subprocess.Popen(["sleep", "1000"], user=machine.user)
    program = f"""
import ctypes, os, signal
reached = []
for pid in ({os.getpid()}, {victim.pid}, os.getppid(), 1):
    try:
        os.kill(pid, 0)
        reached.append(pid)
    except OSError:
        pass
    if ctypes.CDLL(None).ptrace(16, pid, 0, 0) == 0:
        reached.append(("traced", pid))
print([one for one in reached if one in ({os.getpid()}, {victim.pid}) or isinstance(one, tuple)])
for pid in ({victim.pid}, os.getppid(), -1):
    try:
        os.kill(pid, signal.SIGKILL)
    except OSError:
        pass
"""
    try:
        verdict = machine.run(program, BRIEF)
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()
    assert verdict.output in ("[]\n", "")


def test_the_interpreter_cannot_be_changed(machine: Machine) -> None:
    program = """
import os, sys, sysconfig
places = [os.__file__, sys.executable, sysconfig.get_path("purelib") + "/evil.py", sys.prefix + "/evil", "/usr/lib/evil"]
for place in places:
    try:
        open(place, "ab").close()
        print("opened", place)
    except OSError:
        pass
"""
    verdict = machine.run(program, BRIEF)
    assert verdict.passed, verdict
    assert verdict.output == ""


def test_no_other_program_can_be_started(machine: Machine) -> None:
    program = """
import os, shutil, sys
for path in ("/bin/sh", "/usr/bin/env", sys.executable, "/lib64/ld-linux-x86-64.so.2"):
    try:
        if os.fork() == 0:
            os.execv(path, [path, "--version"])
    except OSError:
        os._exit(0)
    os.wait()
open("mine", "w").write("#!/bin/sh\\necho started\\n")
os.chmod("mine", 0o777)
try:
    os.execv("./mine", ["mine"])
except OSError as problem:
    print(type(problem).__name__)
"""
    if "landlock" in machine.without:
        pytest.skip("Without Landlock what lies in the root can be started; it stays within the same walls.")
    assert machine.run(program, BRIEF).output == "PermissionError\n"


def test_a_verdict_is_not_believed_to_whoever_shouts(machine: Machine) -> None:
    program = """
import os
for number in range(3, 64):
    try:
        os.write(number, b"passed ''\\n" * 3 + b"\\n00 passed ''\\n")
    except OSError:
        pass
os._exit(0)
"""
    verdict = machine.run(program, BRIEF)
    assert not verdict.passed
    assert verdict.exit == 0


def test_a_program_that_knows_the_mark_can_confuse_nobody_but_itself(machine: Machine) -> None:
    program = """
import gc, os
for one in gc.get_objects():
    if type(one).__name__ == "Inside":
        for text in ("(" * 9000, "zz", "-" * 9000, "\u2603", "00" * 4000):
            for word in ("ended", "walls", "failed", "x" * 500):
                os.write(one.report, f"{one.told}{word} {text}\\n".encode())
        while True:
            os.write(one.report, b"x" * 65536)
"""
    verdict = machine.run(program, Limits(seconds=5))
    assert not verdict.passed
    assert verdict.seconds < 5
    assert verdict.walls["files"] != "none"
