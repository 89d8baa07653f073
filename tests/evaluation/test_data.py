"""Benchmarks are fetched once, whole, and only if they are what was published."""

from __future__ import annotations

import asyncio
import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from outcrop.evaluation import data
from outcrop.evaluation.item import EvaluationError, Source
from outcrop.evaluation.suites import SUITES
from tests.evaluation.benchmarks import BENCHMARKS

BODIES = {"/rows.jsonl": b'{"a": 1}\n', "/other.jsonl": b"other"}


@pytest.fixture
def mirror() -> Iterator[tuple[str, list[str]]]:
    """Its address, and what was asked of it."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = BODIES.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def source(url: str, name: str = "rows.jsonl", body: bytes = BODIES["/rows.jsonl"]) -> Source:
    return Source(name, f"{url}/{name}", hashlib.sha256(body).hexdigest())


def test_once(mirror: tuple[str, list[str]], tmp_path: Path) -> None:
    url, asked = mirror
    sources = [source(url), source(url, "other.jsonl", b"other")]
    assert data.missing(sources, tmp_path / "suite") == sources
    for _ in range(2):
        asyncio.run(data.fetch(sources, tmp_path / "suite"))
    assert asked == ["/rows.jsonl", "/other.jsonl"]
    assert data.missing(sources, tmp_path / "suite") == []
    assert list(data.json_lines(tmp_path / "suite" / "rows.jsonl", "a")) == [{"a": 1}]
    assert {path.name for path in (tmp_path / "suite").iterdir()} == {"rows.jsonl", "other.jsonl"}


def test_not_what_was_published(mirror: tuple[str, list[str]], tmp_path: Path) -> None:
    wrong = source(mirror[0], body=b"something else")
    with pytest.raises(EvaluationError, match="is not what was published: its SHA-256 is"):
        asyncio.run(data.fetch([wrong], tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there(mirror: tuple[str, list[str]], tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="cannot be fetched: 404"):
        asyncio.run(data.fetch([source(mirror[0], "gone.jsonl")], tmp_path))
    with pytest.raises(EvaluationError, match="name the folder that has it with --data"):
        asyncio.run(data.fetch([source("http://127.0.0.1:9")], tmp_path))


def test_of_an_archive_the_members_by_their_bare_names(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name in ("data/test/a_test.csv", "../../b_test.csv", "data/val/a_val.csv"):
            member = tarfile.TarInfo(name)
            member.size = 3
            archive.addfile(member, io.BytesIO(b"abc"))
        link = tarfile.TarInfo("data/c_test.csv")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    body = packed.getvalue()
    archived = Source("data.tar", "http://x/data.tar", hashlib.sha256(body).hexdigest(), ("_test.csv",))
    folder = tmp_path / "in" / "here"
    data.keep(archived, body, folder)
    assert {path.name for path in folder.iterdir()} == {"a_test.csv", "b_test.csv", "data.tar.unpacked"}
    assert {path.name for path in tmp_path.rglob("*.csv")} == {"a_test.csv", "b_test.csv"}
    assert data.missing([archived], folder) == []


@pytest.mark.parametrize("suite", ["gsm8k", "mgsm", "humaneval"])
def test_the_published_sums_are_those_of_the_public_files(suite: str) -> None:
    if not (BENCHMARKS / suite).is_dir():
        pytest.skip(f"{suite} is not in {BENCHMARKS}; set OUTCROP_SHARED to the folder that holds it.")
    sources = SUITES[suite].sources
    assert sources
    for one in sources:
        (path,) = (BENCHMARKS / suite).rglob(one.name)
        assert hashlib.sha256(path.read_bytes()).hexdigest() == one.sha256
