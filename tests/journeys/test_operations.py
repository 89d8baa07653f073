"""docs/operations.md, every command of it in its order, on real servers, SQLite first and then PostgreSQL.

Stand-ins are there for what a test must not touch: `sudo`, `pip` (which sees to it that the extras exist), and `systemctl`, which
runs what the page's own unit file says.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from configparser import ConfigParser
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.live import clean_environment, free_port
from tests.stores import binaries, cluster

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operations.md"
SYSTEMCTL = """#!/bin/bash
case "$*" in
  "enable --now outcrop"|"start outcrop")
    cd "$HOME"
    setsid {command} --port {port} >> serve.log 2>&1 < /dev/null & echo $! > pid
    for _ in $(seq 600); do curl --silent --fail -o /dev/null http://127.0.0.1:{port}/health && exit 0; sleep 0.1; done
    cat "$HOME/serve.log"; exit 1 ;;
  "stop outcrop")
    kill -TERM -- "-$(cat "$HOME/pid")"
    for _ in $(seq 300); do kill -0 -- "-$(cat "$HOME/pid")" 2> /dev/null || exit 0; sleep 0.1; done; exit 1 ;;
  "restart outcrop") "$0" stop outcrop && "$0" start outcrop ;;
  *) echo "no such thing: $*"; exit 1 ;;
esac
"""
PIP = """#!/bin/sh
exec {python} -m tests.journeys.test_operations "$@"
"""


@dataclass
class Machine:
    """`environment` is a person's, with the stand-ins before all else on the path."""

    folder: Path
    home: Path
    port: int
    environment: dict[str, str]

    def run(self, script: str) -> str:
        script = script.replace("127.0.0.1:8484", f"127.0.0.1:{self.port}")
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=ROOT, env=self.environment, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, f"{script}\n{done.stdout}"
        return done.stdout


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """With PostgreSQL beside it."""
    database, folder = cluster(), binaries()
    assert folder is not None
    unit = ConfigParser()
    unit.optionxform = str  # type: ignore[assignment,method-assign]  # as configparser's own documentation has it
    unit.read_string(_blocks("ini")[0])
    command = "outcrop " + unit["Service"]["ExecStart"].partition(" ")[2]
    port, bin_ = free_port(), tmp_path / "bin"
    bin_.mkdir()
    scripts = {
        "systemctl": SYSTEMCTL.format(command=command, port=port),
        "pip": PIP.format(python=sys.executable),
        "sudo": '#!/bin/sh\nexec "$@"\n',
        "outcrop": f'#!/bin/sh\nexec {sys.executable} -m outcrop "$@"\n',
        "python": f'#!/bin/sh\nexec {sys.executable} "$@"\n',
    }
    for name, text in scripts.items():
        (bin_ / name).write_text(text)
        (bin_ / name).chmod(0o755)
    home = tmp_path / "outcrop"
    home.mkdir(mode=0o700)
    (home / "settings.toml").write_text(
        'house_model = false\n[[models]]\nid = "test.scripted-v1:0"\nengine = "scripted"\n'
    )
    environment = {
        **clean_environment(home),
        "HOME": str(tmp_path),
        "PATH": f"{bin_}:{folder}:/usr/bin:/bin",
        "PGHOST": str(database.folder),
        "PGUSER": "outcrop",
    }
    made = Machine(tmp_path, home, port, environment)
    yield made
    subprocess.run(["systemctl", "stop", "outcrop"], env=environment, check=False, capture_output=True, timeout=60)


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_every_command_of_the_page(machine: Machine) -> None:
    said = [machine.run(block) for block in _blocks("sh")]
    everything = "\n".join(said)
    assert everything.count("Nothing was edited, removed, moved or cut off.") == 2
    assert "files of audit" in everything
    # The same access key in the first folder, after the restore, and in the second server's on PostgreSQL.
    keys = set(re.findall(r"\b(AKIA\w{16})\b", everything))
    assert keys
    assert (machine.home / "settings.toml").read_text().endswith('[store]\nurl = "postgresql:///outcrop"\n')
    assert (
        not (machine.home / "outcrop.db-wal").exists()
        or machine.run("psql -Atc 'select count(*) from accounts' outcrop") == "1\n"
    )


def test_settings_on_the_page_are_settings() -> None:
    from outcrop.settings import load

    for number, block in enumerate(_blocks("toml")):
        tomllib.loads(block)
        path = Path(os.environ.get("TMPDIR", "/tmp")) / f"outcrop-page-{os.getpid()}-{number}.toml"
        path.write_text(block)
        try:
            load(path)
        finally:
            path.unlink()


def test_links_lead_somewhere() -> None:
    text = PAGE.read_text("utf-8")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        name, _, anchor = link.partition("#")
        page = (PAGE.parent / name).resolve() if name else PAGE
        headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
        anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in anchors, link


def _pip(arguments: list[str]) -> None:
    """What the page would have pip do can be done: the extras and options are there."""
    assert arguments[0] == "install", arguments
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for wanted in arguments[1:]:
        found = re.fullmatch(r"outcrop(?:\[([\w,]+)\])?(?:==[\d.]+)?|--upgrade", wanted)
        assert found is not None, wanted
        extras = set((found[1] or "").split(",")) - {""}
        assert extras <= set(project["optional-dependencies"]), wanted


if __name__ == "__main__":
    _pip(sys.argv[1:])
