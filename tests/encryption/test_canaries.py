"""What clients bring is nowhere in the data folder or in the database, in words that anybody could read: also after a kill."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.batch.batches import settings
from tests.encryption.planting import plant, put_without_end
from tests.encryption.search import canary, found, found_in
from tests.live import Server, serve


def kill(server: Server) -> None:
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait(10)


def test_nothing_lies_around(tmp_path: Path) -> None:
    home = tmp_path / "home"
    dropped = tmp_path / "dropped"
    dropped.mkdir()
    (dropped / "file").write_text(canary("the operator's own"))
    mounted = f'[objects.buckets.dropped]\nfolder = "{dropped}"\n'
    with serve(home, settings=settings(tmp_path, changes=mounted)) as server:
        plant(server)
        draft = put_without_end(server)
        assert found(home) == []
        kill(server)
        draft.close()
    assert any((home / "objects" / "_drafts").iterdir())
    assert found(home) == []
    # A folder of the operator's stays as it is.
    assert found_in(dropped.iterdir()) == [str(dropped / "file")]


def test_switched_off_the_search_finds_it_everywhere(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serve(home, settings=settings(tmp_path, changes="[encryption]\nenabled = false\n")) as server:
        plant(server)
        kill(server)
    there = found(home)
    objects = [path for path in there if path.startswith(str(home / "objects"))]
    assert len(objects) > 8
    # SQLite's files, or tables of PostgreSQL.
    assert set(there) - set(objects)
