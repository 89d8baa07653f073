"""Both databases for tests. With OUTCROP_TEST_STORE=postgresql every data folder has its rows in PostgreSQL.

PostgreSQL is the one that is installed: a server of this test process alone, on a Unix socket in a folder of its own, and
a schema in it for each data folder.
"""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

import psycopg
import pytest

BINARIES = ("/usr/lib/postgresql/*/bin", "/opt/homebrew/opt/postgresql*/bin", "/usr/pgsql-*/bin")


def store_at(home: Path) -> Path | str:
    """Where the database of a data folder is in this run."""
    return postgresql_at(home) if os.environ.get("OUTCROP_TEST_STORE") == "postgresql" else home / "outcrop.db"


def settings_of(where: Path | str) -> str:
    """What the settings file says of it."""
    return f'\n[store]\nurl = "{where}"\n' if isinstance(where, str) else ""


def postgresql_at(home: Path) -> str:
    """A schema for that folder, empty at first. Skips where PostgreSQL is not installed."""
    return cluster().schema("t" + hashlib.sha256(str(home).encode()).hexdigest()[:16])


class Cluster:
    """A PostgreSQL server that lives through its own crashes, not the machine's.

    It promises no more of a commit than Outcrop asks for: synchronous_commit is off.
    """

    _settings = ("synchronous_commit", "fsync", "full_page_writes", "autovacuum")

    def __init__(self, binaries: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="outcrop-postgresql-"))
        self._binaries = binaries
        # PostgreSQL does not run as root.
        self._user = "postgres" if os.getuid() == 0 else None
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self._made: set[str] = set()
        self._run("initdb", "-D", str(self.folder / "data"), "-U", "outcrop", "-A", "trust", "-E", "UTF8", "--no-sync",
                  "--locale=C", *self._collation())  # fmt: skip
        with (self.folder / "data" / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = off\n" for name in self._settings)
        self.start()

    def _collation(self) -> tuple[str, ...]:
        """A person's order of letters, where it can be had without asking what locales the machine has."""
        version = subprocess.run([self._binaries / "postgres", "--version"], capture_output=True, text=True, check=True)
        major = int(version.stdout.split()[2].partition(".")[0])
        return ("--locale-provider=icu", "--icu-locale=en") if major >= 15 else ()

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [self._binaries / "postgres", "-D", self.folder / "data", "-k", self.folder, "-c", "listen_addresses="],
                user=self._user, group=self._user, extra_groups=[] if self._user else None, cwd=self.folder,
                stdout=log, stderr=log, preexec_fn=_end_with_the_tests,
            )  # fmt: skip
        for _ in range(600):
            try:
                psycopg.connect(self.url()).close()
                return
            except psycopg.OperationalError:
                assert self.process.poll() is None, (self.folder / "log").read_text()
                time.sleep(0.05)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends connections and tidies up; SIGQUIT is a crash."""
        self.process.send_signal(how)
        self.process.wait(30)

    def url(self, schema: str = "public", name: str = "postgres") -> str:
        return f"postgresql://outcrop@/{name}?host={self.folder}&options=-csearch_path%3D{schema}"

    def schema(self, name: str) -> str:
        if name not in self._made:
            with psycopg.connect(self.url(), autocommit=True) as connection:
                connection.execute(f'CREATE SCHEMA "{name}"'.encode())
            self._made.add(name)
        return self.url(name)

    def remove(self) -> None:
        if self.process.poll() is None:
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._binaries / program, *arguments], user=self._user, group=self._user, cwd=self.folder,
            extra_groups=[] if self._user else None, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr


@cache
def cluster() -> Cluster:
    """The server of this test process."""
    return new_cluster()


def new_cluster() -> Cluster:
    if (found := binaries()) is None:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    if os.getuid() == 0 and "postgres" not in {entry.pw_name for entry in pwd.getpwall()}:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    made = Cluster(found)
    atexit.register(_remove, made, os.getpid())
    return made


def binaries() -> Path | None:
    """The newest that is installed."""
    found = [path for pattern in BINARIES for path in Path("/").glob(pattern[1:]) if (path / "initdb").exists()]
    if (on_path := shutil.which("initdb")) is not None:
        found.append(Path(on_path).resolve().parent)
    return max(found, key=lambda path: [int(part) for part in path.parts if part.isdigit()], default=None)


def _remove(made: Cluster, owner: int) -> None:
    # Not in a process that a test forked.
    if os.getpid() == owner:
        made.remove()


def _end_with_the_tests() -> None:
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGQUIT)
