"""The power fails, at any moment: a disk that keeps what was synced, and of the rest whatever it likes.

strace tells every write and every sync of a process that writes rows; the disk is played from that, and SQLite is opened
on what is left of it. The memory that readers share (-shm) is gone with the power.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from outcrop.store.database import Database

TRANSACTIONS = 25
SECTOR = 512

# A checkpoint after every few pages, so that power fails during those too.
WRITER = """
import sys
from pathlib import Path
from outcrop.store.database import Database
database = Database.open(Path(sys.argv[1]))
for pragma in ("wal_autocheckpoint = 12", *sys.argv[3:]):
    database.query(f"PRAGMA {pragma}")
for number in map(str, range(int(sys.argv[2]))):
    with database.transaction() as transaction:
        transaction.execute("INSERT INTO accounts (id, created_at) VALUES (?, ?)", number, "x" * 3000)
        transaction.execute("INSERT INTO users (id, account_id, name, created_at) VALUES (?, ?, 'x', '')", number, number)
    print(f"answered {number}.", flush=True)
"""

_TEXT = r"((?:\\x[0-9a-f]{2})*)"
WRITE = re.compile(rf'pwrite64\(\d+<(.*?)>, "{_TEXT}", \d+, (\d+)\) = \d+')
SYNC = re.compile(r"f(?:data)?sync\(\d+<(.*?)>\) = 0")
CUT = re.compile(r"ftruncate\(\d+<(.*?)>, (\d+)\) = 0")
ANSWER = re.compile(rf'write\(1<.*?>, "{_TEXT}"')


@dataclass
class File:
    """`synced` is on the disk; `pending` may be, in any order and by sectors. A change without data cuts the file off."""

    synced: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def sync(self) -> None:
        for change in self.pending:
            _change(self.synced, *change)
        self.pending.clear()

    def after_power_loss(self, chance: random.Random) -> bytes:
        kept = bytearray(self.synced)
        share = chance.choice((0.0, 0.5, 1.0))
        for offset, data in self.pending:
            pieces = [(offset, data)] if data is None else _sectors(offset, data)
            for piece in pieces:
                if chance.random() < share:
                    _change(kept, *piece)
        return bytes(kept)


def _sectors(offset: int, data: bytes) -> list[tuple[int, bytes | None]]:
    return [(offset + start, data[start : start + SECTOR]) for start in range(0, len(data), SECTOR)]


def _change(content: bytearray, offset: int, data: bytes | None) -> None:
    content.extend(b"\0" * (offset - len(content)))
    if data is None:
        del content[offset:]
    else:
        content[offset : offset + len(data)] = data


def moments(folder: Path, *pragmas: str) -> Iterator[tuple[dict[str, File], set[str]]]:
    """The disk after each system call of a writer, and what was answered until then."""
    trace, database = folder / "trace", folder / "home" / "outcrop.db"
    done = subprocess.run(
        ["strace", "-f", "-y", "-xx", "-s", "100000", "-e", "trace=pwrite64,write,fsync,fdatasync,ftruncate", "-o", trace,
         sys.executable, "-c", WRITER, database, str(TRANSACTIONS), *pragmas],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if "ptrace" in done.stderr:
        pytest.skip(f"Processes cannot be traced here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    disk = {"outcrop.db": File(), "outcrop.db-wal": File()}
    answered: set[str] = set()
    for line in trace.read_text().splitlines():
        if (write := WRITE.search(line)) and (file := _file(disk, write[1])):
            file.pending.append((int(write[3]), _bytes(write[2])))
        elif (sync := SYNC.search(line)) and (file := _file(disk, sync[1])):
            file.sync()
        elif (cut := CUT.search(line)) and (file := _file(disk, cut[1])):
            file.pending.append((int(cut[2]), None))
        elif answer := ANSWER.search(line):
            answered |= set(re.findall(r"answered (\d+)\.", _bytes(answer[1]).decode()))
        # Before that there is no database in WAL mode, and nothing was answered.
        if disk["outcrop.db-wal"].synced:
            yield disk, answered
    assert len(answered) == TRANSACTIONS


def _file(disk: dict[str, File], path: str) -> File | None:
    """Some versions of strace write paths like other texts."""
    return disk.get(Path(_bytes(path).decode() if path.startswith("\\x") else path).name)


def _bytes(escaped: str) -> bytes:
    return bytes.fromhex(escaped.replace("\\x", ""))


def kept(disk: dict[str, File], folder: Path, chance: random.Random) -> set[str]:
    """The rows after the power was back, whole transactions only."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, file in disk.items():
        (folder / name).write_bytes(file.after_power_loss(chance))
    with closing(Database.open(folder / "outcrop.db")) as database:
        assert database.one("PRAGMA integrity_check") == {"integrity_check": "ok"}
        accounts = {row["id"] for row in database.query("SELECT id FROM accounts")}
        assert {row["account_id"] for row in database.query("SELECT account_id FROM users")} == accounts
    return accounts


@pytest.fixture(autouse=True)
def strace() -> None:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: apt-get install strace")


def losses(folder: Path, *pragmas: str) -> int:
    """At how many of some hundred moments something that was answered is gone."""
    chance = random.Random(7)
    lost = 0
    for disk, answered in moments(folder, *pragmas):
        if chance.random() < 0.25:
            lost += not answered <= kept(disk, folder / "after", chance)
    return lost


def test_what_was_answered_is_there_after_a_power_failure(tmp_path: Path) -> None:
    assert losses(tmp_path) == 0


def test_the_same_disk_loses_what_is_not_synced(tmp_path: Path) -> None:
    """So that the test above could fail."""
    assert losses(tmp_path, "synchronous = NORMAL") > 0
