"""Large bodies: memory stays flat, and a server that is killed in the middle has the old object or the new one."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.live import Server, serve
from tests.objects.clients import Buckets, client
from tests.objects.test_boto3 import content, refused

MIB = 1024 * 1024
LARGE = 200
# What a few blocks in flight and an allocator's habits may take; the body is several times as large.
ALLOWED = 60 * MIB


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of this module's own, whose memory nobody else fills."""
    with serve(tmp_path_factory.mktemp("streams"), settings="house_model = false\n") as running:
        client(running).create_bucket(Bucket="streams")
        yield running


class Endless(io.RawIOBase):
    """A file of `size` MiB that is nowhere. Remembers the digest of what was read."""

    def __init__(self, size: int) -> None:
        self.left = size * MIB
        self.digest = md5(usedforsecurity=False)
        self.block = os.urandom(MIB)

    def read(self, size: int = -1) -> bytes:
        taken = self.block[: min(MIB if size < 0 else size, self.left, MIB)]
        self.left -= len(taken)
        self.digest.update(taken)
        return taken


def worker_of(server: Server) -> int:
    """The process that answers."""
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == server.process.pid:
                return int(folder.name)
    raise AssertionError("The server has no worker.")


def memory(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Peak:
    """The most memory that a process took in a `with` block."""

    def __init__(self, process: int) -> None:
        self._process = process
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.before = memory(process)
        self.most = self.before

    def _watch(self) -> None:
        while not self._over.wait(0.01):
            self.most = max(self.most, memory(self._process))

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def grown(self) -> int:
        return self.most - self.before


needs_proc = pytest.mark.skipif(sys.platform != "linux", reason="Memory is read from /proc.")


@needs_proc
def test_memory_stays_flat(own: Server) -> None:
    s3 = client(own, request_checksum_calculation="when_required", s3={"payload_signing_enabled": False})
    client(own).put_object(Bucket="streams", Key="warm", Body=b"x" * 4 * MIB)
    content(s3, "streams", "warm")
    worker = worker_of(own)
    body = Endless(LARGE)
    with Peak(worker) as up:
        upload(own, body)
    assert up.grown < ALLOWED
    with Peak(worker) as down:
        digest = md5(usedforsecurity=False)
        for chunk in s3.get_object(Bucket="streams", Key="large")["Body"].iter_chunks(MIB):
            digest.update(chunk)
    assert digest.digest() == body.digest.digest()
    assert down.grown < ALLOWED


def upload(server: Server, body: Endless) -> None:
    """By a link, because boto3 itself reads a body twice."""
    import http.client

    link = urlsplit(client(server).generate_presigned_url("put_object", Params={"Bucket": "streams", "Key": "large"}))
    connection = http.client.HTTPConnection(link.netloc, timeout=120)
    connection.request("PUT", f"{link.path}?{link.query}", body, {"Content-Length": str(body.left), "Content-Type": ""})
    assert connection.getresponse().status == 200


@needs_proc
def test_a_slow_reader_fills_no_memory(own: Server) -> None:
    s3 = client(own)
    if "large" not in [one["Key"] for one in s3.list_objects_v2(Bucket="streams").get("Contents", ())]:
        upload(own, Endless(LARGE))
    link = urlsplit(s3.generate_presigned_url("get_object", Params={"Bucket": "streams", "Key": "large"}))
    worker = worker_of(own)
    host, _, port = link.netloc.partition(":")
    with Peak(worker) as peak, socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"GET {link.path}?{link.query} HTTP/1.1\r\nHost: {link.netloc}\r\n\r\n".encode())
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        time.sleep(1)
    assert peak.grown < ALLOWED
    assert content(s3, "streams", "large", Range="bytes=0-9") != b""


def test_a_killed_server_has_the_old_object_or_the_new_one(tmp_path: Path) -> None:
    """And starts again with all that it answered for."""
    home = tmp_path / "home"
    old, new = b"o" * 9 * MIB, b"n" * 9 * MIB
    with serve(home, settings="house_model = false\n") as server:
        s3 = client(server)
        s3.create_bucket(Bucket="killed")
        s3.put_object(Bucket="killed", Key="k", Body=old)
        killer = threading.Timer(0.03, lambda: os.killpg(server.process.pid, signal.SIGKILL))
        killer.start()
        answered = 0
        with contextlib.suppress(BotoCoreError, ClientError, OSError):
            while True:
                s3.put_object(Bucket="killed", Key=f"answered/{answered}", Body=b"x" * 100_000)
                s3.put_object(Bucket="killed", Key="k", Body=new if answered % 2 == 0 else old)
                answered += 1
        killer.join()
    with serve(home) as server:
        s3 = client(server)
        found = content(s3, "killed", "k")
        assert found in (old, new)
        kept = {one["Key"] for one in s3.list_objects_v2(Bucket="killed")["Contents"]}
        assert {f"answered/{number}" for number in range(answered)} <= kept
        assert all(content(s3, "killed", key) == b"x" * 100_000 for key in kept - {"k"})


def test_many_at_once(server: Server, buckets: Buckets) -> None:
    """More than there are threads, on one key and on many."""
    bucket = buckets.new()
    problems: list[Exception] = []

    def work(number: int) -> None:
        try:
            s3: Any = client(server)
            body = bytes([number]) * 300_000
            for _ in range(3):
                s3.put_object(Bucket=bucket, Key="shared", Body=body)
                s3.put_object(Bucket=bucket, Key=str(number), Body=body)
                assert content(s3, bucket, str(number)) == body
                assert len(set(content(s3, bucket, "shared"))) == 1
        except Exception as problem:
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_over_tls(tmp_path: Path) -> None:
    """Where clients leave the body unsigned and put its checksum at the end."""
    with serve(tmp_path / "home", "--tls", settings="house_model = false\n") as server:
        import boto3

        s3 = boto3.client(
            "s3",
            region_name="us-east-1",
            endpoint_url=server.url,
            aws_access_key_id=server.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=server.environment["AWS_SECRET_ACCESS_KEY"],
            verify=server.environment["AWS_CA_BUNDLE"],
        )
        s3.create_bucket(Bucket="secure")
        for algorithm in ("CRC32", "SHA256"):
            s3.put_object(Bucket="secure", Key="k", Body=io.BytesIO(b"x" * 3 * MIB), ChecksumAlgorithm=algorithm)
            found = s3.get_object(Bucket="secure", Key="k", ChecksumMode="ENABLED")
            assert found["Body"].read() == b"x" * 3 * MIB
            assert f"Checksum{algorithm}" in found
            assert found.get("ContentEncoding") is None
        with refused("NoSuchBucket", 404):
            s3.put_object(Bucket="no-such-bucket-here", Key="k", Body=io.BytesIO(b"x" * 3 * MIB))
