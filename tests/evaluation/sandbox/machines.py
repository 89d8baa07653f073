"""The machines that the sandbox must hold on, as far as this one can stand for them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

import outcrop
from outcrop.evaluation.sandbox import places
from outcrop.evaluation.sandbox.run import Limits, Verdict, _run

# Nobody's, and those after it: what they own is only what these tests start.
USER = 54_321
_SCRIPT = """
import json, sys
from dataclasses import asdict
from outcrop.evaluation.sandbox.run import Limits, _run
order = json.load(sys.stdin)
verdict = _run(order["source"], Limits(**order["limits"]), order["unwalled"], tuple(order["without"]))
print(json.dumps(asdict(verdict)))
"""


@dataclass(frozen=True)
class Machine:
    """`user`: None for whoever runs the tests. `without`: walls that it does not have."""

    name: str
    user: int | None = None
    without: tuple[str, ...] = ()

    def run(self, source: str, limits: Limits, *, without: tuple[str, ...] = (), unwalled: bool = False) -> Verdict:
        left_out = self.without + without
        if self.user is None:
            return _run(source, limits, unwalled, left_out)
        order = {"source": source, "limits": asdict(limits), "unwalled": unwalled, "without": left_out}
        done = subprocess.run(
            [_python(), "-c", _SCRIPT],
            input=json.dumps(order),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            user=self.user,
            group=self.user,
            extra_groups=[],
            cwd="/",
            env={"PYTHONPATH": str(Path(outcrop.__file__).parents[1]), **_secret(os.environ)},
        )
        assert done.returncode == 0, done.stderr
        return Verdict(**json.loads(done.stdout))


MACHINES = [
    Machine("this one"),
    Machine("root in a container", 0, ("namespaces", "cgroups")),
    Machine("a user", USER),
    Machine("a user without namespaces", USER + 1, ("namespaces",)),
    Machine("a user without Landlock", USER + 2, ("landlock",)),
]


def needs(machine: Machine) -> None:
    if sys.platform != "linux":
        pytest.skip("Only Linux has the walls that are tested here.")
    if machine.user is None:
        return
    if os.geteuid() != 0:
        pytest.skip("Only root can run a test as another user.")
    if not _python():
        pytest.skip("There is no Python here that every user may run and that Outcrop runs on.")


def _python() -> str:
    """One that every user may read: this one, or the system's."""
    for path in (sys.executable, shutil.which("python3", path="/usr/local/bin:/usr/bin") or ""):
        real = os.path.realpath(path)
        if path and places.open_to_all(real) and places.open_to_all(os.path.dirname(outcrop.__file__)):
            tried = subprocess.run(
                [path, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"], check=False, capture_output=True
            )
            if tried.returncode == 0:
                return path
    return ""


def _secret(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name == "OUTCROP_TEST_SECRET"}
