"""`aws s3` of the AWS CLI, in an environment of its own (scripts/install-clients)."""

from __future__ import annotations

import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.journeys.test_aws_cli import AWS
from tests.live import Server

pytestmark = pytest.mark.skipif(not AWS.exists(), reason="the AWS CLI is not installed: scripts/install-clients")


def s3(server: Server, *arguments: str | Path, code: int = 0, given: bytes | None = None) -> str:
    done = subprocess.run(
        [str(AWS), "s3", *map(str, arguments)], env=dict(server.environment), check=False, capture_output=True, input=given
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return (done.stdout + done.stderr).decode()


def test_what_people_do(server: Server, tmp_path: Path) -> None:
    folder, back = tmp_path / "folder", tmp_path / "back"
    (folder / "sub dir").mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"a")
    (folder / "sub dir" / "ü+&.txt").write_bytes(b"b")
    (folder / "big.bin").write_bytes(bytes(range(256)) * 4096 * 20)
    s3(server, "mb", "s3://cli-bucket")
    assert "cli-bucket" in s3(server, "ls")
    s3(server, "cp", folder / "a.txt", "s3://cli-bucket/one.txt")
    s3(server, "cp", "-", "s3://cli-bucket/streamed", given=b"from a pipe")
    assert s3(server, "cp", "s3://cli-bucket/streamed", "-") == "from a pipe"
    s3(server, "sync", folder, "s3://cli-bucket/tree")
    assert s3(server, "sync", folder, "s3://cli-bucket/tree") == ""
    listed = s3(server, "ls", "s3://cli-bucket", "--recursive", "--summarize")
    assert all(
        name in listed for name in ("one.txt", "tree/a.txt", "tree/big.bin", "tree/sub dir/ü+&.txt", "Total Objects: 5")
    )
    assert "PRE tree/" in s3(server, "ls", "s3://cli-bucket")
    s3(server, "sync", "s3://cli-bucket/tree", back)
    for path in ("a.txt", "big.bin", "sub dir/ü+&.txt"):
        assert (back / path).read_bytes() == (folder / path).read_bytes()
    (folder / "a.txt").unlink()
    assert "delete: s3://cli-bucket/tree/a.txt" in s3(server, "sync", folder, "s3://cli-bucket/tree", "--delete")
    s3(server, "mv", "s3://cli-bucket/one.txt", "s3://cli-bucket/two.txt")
    s3(server, "cp", "s3://cli-bucket/tree/big.bin", "s3://cli-bucket/copy.bin")
    link = s3(server, "presign", "s3://cli-bucket/two.txt").strip()
    with urllib.request.urlopen(link, timeout=10) as answer:  # noqa: S310
        assert answer.read() == b"a"
    assert "BucketNotEmpty" in s3(server, "rb", "s3://cli-bucket", code=1)
    s3(server, "rm", "s3://cli-bucket/tree", "--recursive")
    s3(server, "rb", "s3://cli-bucket", "--force")
    assert "NoSuchBucket" in s3(server, "ls", "s3://cli-bucket", code=255)
