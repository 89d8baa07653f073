"""Server-side encryption as S3 has it: its headers, its errors, permission for keys; and keys that are disabled or rotated."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from outcrop.identity import accounts
from outcrop.store.database import Database
from tests.encryption.commands import new_key, outcrop
from tests.encryption.search import canary, found
from tests.live import Server, serve
from tests.objects.clients import Buckets, another_account, client, limited_user
from tests.stores import store_at

PART = 5 * 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("mounted")
    (folder / "file").write_text("plain")
    home = tmp_path_factory.mktemp("encryption")
    with serve(home, settings=f'house_model = false\n[objects.buckets.mounted]\nfolder = "{folder}"\n') as running:
        yield running


@pytest.fixture(scope="module")
def s3(server: Server) -> Any:
    return client(server)


@pytest.fixture
def bucket(server: Server) -> str:
    return Buckets(server).new()


def refused(code: str, status: int = 400, message: str = "") -> pytest.RaisesExc[ClientError]:
    def fits(problem: ClientError) -> bool:
        error = problem.response["Error"]
        told = (error["Code"], problem.response["ResponseMetadata"]["HTTPStatusCode"])
        return told == (code, status) and message in error["Message"]

    return pytest.RaisesExc(ClientError, check=fits)


def told(answer: Any) -> tuple[str | None, str | None]:
    return answer.get("ServerSideEncryption"), answer.get("SSEKMSKeyId")


def test_everything_is_encrypted_and_says_so(s3: Any, bucket: str) -> None:
    assert told(s3.put_object(Bucket=bucket, Key="k", Body=b"x")) == ("AES256", None)
    assert told(s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="AES256")) == ("AES256", None)
    for answer in (s3.get_object(Bucket=bucket, Key="k"), s3.head_object(Bucket=bucket, Key="k")):
        assert told(answer) == ("AES256", None)
    assert told(s3.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/k")) == ("AES256", None)


def test_a_key_that_is_named(server: Server, s3: Any, bucket: str) -> None:
    arn = new_key(server, "--alias", "for-s3")
    for name in (arn, arn.rpartition("/")[2], "alias/for-s3"):
        more = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": name}
        assert told(s3.put_object(Bucket=bucket, Key="k", Body=b"words", **more)) == ("aws:kms", arn)
    got = s3.get_object(Bucket=bucket, Key="k", Range="bytes=1-3")
    assert (told(got), got["Body"].read()) == (("aws:kms", arn), b"ord")
    assert told(s3.head_object(Bucket=bucket, Key="k")) == ("aws:kms", arn)
    # A copy is encrypted as it asks to be, not as its source is.
    assert told(s3.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/k")) == ("AES256", None)
    again = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": arn}
    assert told(s3.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/c", **again)) == ("aws:kms", arn)
    assert s3.get_object(Bucket=bucket, Key="c")["Body"].read() == b"words"


def test_the_accounts_own_key(s3: Any, bucket: str) -> None:
    method, arn = told(s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms"))
    assert method == "aws:kms"
    assert arn is not None
    assert arn.startswith("arn:aws:kms:us-east-1:")


def test_parts(server: Server, s3: Any, bucket: str) -> None:
    arn = new_key(server)
    more = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": arn, "BucketKeyEnabled": True}
    begun = s3.create_multipart_upload(Bucket=bucket, Key="k", **more)
    assert (*told(begun), begun["BucketKeyEnabled"]) == ("aws:kms", arn, True)
    upload = {"Bucket": bucket, "Key": "k", "UploadId": begun["UploadId"]}
    bodies = [b"a" * PART, b"b" * 70_000]
    parts = []
    for number, body in enumerate(bodies, 1):
        answer = s3.upload_part(**upload, PartNumber=number, Body=body)
        assert told(answer) == ("aws:kms", arn)
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
    s3.put_object(Bucket=bucket, Key="source", Body=b"c" * 100)
    answer = s3.upload_part_copy(**upload, PartNumber=2, CopySource=f"{bucket}/source")
    parts[1]["ETag"] = answer["CopyPartResult"]["ETag"]
    done = s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    assert told(done) == ("aws:kms", arn)
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (told(got), got["Body"].read()) == (("aws:kms", arn), bodies[0] + b"c" * 100)


def test_a_key_that_is_not_there(server: Server, s3: Any, bucket: str) -> None:
    theirs = another_account(server.home)
    region = "us-east-1"
    other = client(server, theirs)
    other_bucket = Buckets(server).new(theirs)
    _, their_arn = told(other.put_object(Bucket=other_bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms"))
    account = s3.list_buckets()["Owner"]["ID"]
    for name in (f"arn:aws:kms:{region}:{account}:key/{'0' * 36}", "alias/nothing", "nonsense", their_arn):
        more: dict[str, Any] = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": name}
        with refused("KMS.NotFoundException", message="does not exist"):
            s3.put_object(Bucket=bucket, Key="k", Body=b"x", **more)
        with refused("KMS.NotFoundException", message="does not exist"):
            s3.create_multipart_upload(Bucket=bucket, Key="k", **more)


@pytest.mark.parametrize(
    ("more", "code", "status"),
    [
        ({"ServerSideEncryption": "ROT13"}, "InvalidArgument", 400),
        ({"ServerSideEncryption": "AES256", "SSEKMSKeyId": "alias/x"}, "InvalidArgument", 400),
        ({"SSEKMSKeyId": "alias/x"}, "InvalidArgument", 400),
        ({"ServerSideEncryption": "aws:kms:dsse"}, "NotImplemented", 501),
        ({"ServerSideEncryption": "aws:kms", "SSEKMSEncryptionContext": "e30="}, "NotImplemented", 501),
    ],
)
def test_what_is_refused(s3: Any, bucket: str, more: dict[str, str], code: str, status: int) -> None:
    with refused(code, status):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", **more)


def test_a_caller_who_may_not_use_the_key(server: Server, s3: Any, bucket: str) -> None:
    arn = new_key(server)
    more = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": arn}
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **more)
    objects = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    decrypt = {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": arn}
    without = client(server, limited_user(server.home, "without-keys", objects))
    reader = client(server, limited_user(server.home, "with-decrypt", objects, decrypt))
    with refused("AccessDenied", 403, f"kms:Decrypt on resource: {arn}"):
        without.get_object(Bucket=bucket, Key="k")
    with refused("AccessDenied", 403, "kms:GenerateDataKey"):
        without.put_object(Bucket=bucket, Key="n", Body=b"x", **more)
    assert reader.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
    with refused("AccessDenied", 403, "kms:GenerateDataKey"):
        reader.put_object(Bucket=bucket, Key="n", Body=b"x", **more)
    with refused("AccessDenied", 403, "kms:Decrypt"):
        without.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/k")
    without.put_object(Bucket=bucket, Key="own", Body=b"x")
    assert without.get_object(Bucket=bucket, Key="own")["Body"].read() == b"x"


def test_disabled_and_enabled(server: Server, s3: Any, bucket: str) -> None:
    arn = new_key(server)
    more = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": arn}
    s3.put_object(Bucket=bucket, Key="k", Body=b"words", **more)
    s3.put_object(Bucket=bucket, Key="own", Body=b"own")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="p", **more)["UploadId"]
    outcrop(server, "disable", arn)
    attempts: tuple[Callable[[], object], ...] = (
        lambda: s3.get_object(Bucket=bucket, Key="k"),
        lambda: s3.get_object(Bucket=bucket, Key="k", Range="bytes=0-1"),
        lambda: s3.put_object(Bucket=bucket, Key="n", Body=b"x", **more),
        lambda: s3.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/k"),
        lambda: s3.create_multipart_upload(Bucket=bucket, Key="q", **more),
        lambda: s3.upload_part(Bucket=bucket, Key="p", UploadId=upload, PartNumber=1, Body=b"x"),
    )
    for attempt in attempts:
        with refused("KMS.DisabledException", message=f"{arn} is disabled"):
            attempt()
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == 5
    assert s3.get_object(Bucket=bucket, Key="own")["Body"].read() == b"own"
    assert not list((server.home / "objects" / "_drafts").iterdir())
    outcrop(server, "enable", arn)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"words"
    s3.upload_part(Bucket=bucket, Key="p", UploadId=upload, PartNumber=1, Body=b"x")
    s3.delete_object(Bucket=bucket, Key="k")


def test_rotated_and_wrapped_anew(server: Server, s3: Any, bucket: str) -> None:
    arn = new_key(server)
    more = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": arn}
    for number in range(5):
        s3.put_object(Bucket=bucket, Key=f"old-{number}", Body=b"old", **more)
    outcrop(server, "rotate", arn)
    s3.put_object(Bucket=bucket, Key="new", Body=b"new", **more)
    assert versions(server, arn) == ["1"] * 5 + ["2"]
    before = {path: path.read_bytes() for path in (server.home / "objects" / bucket).glob("*/*")}
    assert "5 data keys under version 2" in outcrop(server, "rewrap", arn)
    assert versions(server, arn) == ["2"] * 6
    assert "0 data keys" in outcrop(server, "rewrap", arn)
    # No content was touched, and all of it is read as before.
    assert before == {path: path.read_bytes() for path in (server.home / "objects" / bucket).glob("*/*")}
    assert [s3.get_object(Bucket=bucket, Key=f"old-{n}")["Body"].read() for n in range(5)] == [b"old"] * 5
    (listed,) = [key for key in json.loads(outcrop(server, "list", "--json")) if key["Arn"] == arn]
    assert (listed["Version"], listed["KeyState"]) == (2, "Enabled")


def versions(server: Server, arn: str) -> list[str]:
    """Of the key, under which the data keys of files are wrapped."""
    database = Database.open(store_at(server.home))
    rows = database.query("SELECT sealed FROM object_parts WHERE sealed IS NOT NULL")
    database.close()
    begin = f"sealed1.{arn.rpartition('/')[2]}."
    return sorted(row["sealed"].split(".")[2] for row in rows if row["sealed"].startswith(begin))


def test_a_mounted_folder_stays_plain_and_its_copies_do_not(server: Server, s3: Any, bucket: str) -> None:
    assert told(s3.get_object(Bucket="mounted", Key="file")) == (None, None)
    assert told(s3.copy_object(Bucket=bucket, Key="copy", CopySource="mounted/file")) == ("AES256", None)
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == b"plain"


def test_files_that_were_changed_cut_or_swapped(server: Server, s3: Any, bucket: str) -> None:
    body = bytes(range(256)) * 1000
    for key in ("one", "two"):
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    one, two = (path for path in sorted((server.home / "objects" / bucket).glob("*/*")))
    first, second = one.read_bytes(), two.read_bytes()
    flipped = bytearray(first)
    flipped[100] ^= 1
    for damage in (
        (bytes(flipped), second),
        (first[:-1], second),
        (first[: 15 + 65552], second),
        (b"", second),
        (second, first),
    ):
        one.write_bytes(damage[0])
        two.write_bytes(damage[1])
        read = [whole(s3, bucket, key) for key in ("one", "two")]
        assert read.count(None) == (2 if damage[1] is first else 1)
        assert read.count(body) == read.count(None) % 2
    one.write_bytes(first)
    two.write_bytes(second)
    assert s3.get_object(Bucket=bucket, Key="one")["Body"].read() == body


def whole(s3: Any, bucket: str, key: str) -> bytes | None:
    """None for what could not be read to its end."""
    try:
        return bytes(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    except (ClientError, BotoCoreError, HTTPError):
        return None


def test_a_wrapped_key_moved_to_another_row(server: Server, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="one", Body=b"one")
    s3.put_object(Bucket=bucket, Key="two", Body=b"two")
    database = Database.open(store_at(server.home))
    with database.transaction() as transaction:
        rows = transaction.query(
            "SELECT blob, sealed FROM object_parts WHERE owner IN (SELECT id FROM objects WHERE bucket = ?)", bucket
        )
        for row, other in (rows, reversed(rows)):
            transaction.execute("UPDATE object_parts SET sealed = ? WHERE blob = ?", other["sealed"], row["blob"])
    database.close()
    for key in ("one", "two"):
        with refused("InternalError", 500):
            s3.get_object(Bucket=bucket, Key=key)


def test_commands(server: Server) -> None:
    account = accounts_of(server)
    made = json.loads(
        outcrop(server, "create", "--json", "--alias", "alias/named", "--description", "d", "--region", "eu-west-1")
    )
    assert made["Arn"].startswith(f"arn:aws:kms:eu-west-1:{account}:key/")
    assert (made["Alias"], made["KeyState"], made["Version"], made["Description"]) == ("alias/named", "Enabled", 1, "d")
    assert made["Arn"] in outcrop(server, "list")
    assert "version 2" in outcrop(server, "rotate", "alias/named", "--region", "eu-west-1")
    for arguments, words in (
        (("create", "--alias", "named", "--region", "eu-west-1"), "already"),
        (("create", "--alias", "a b"), "letters"),
        (("rotate", "alias/none"), "does not exist"),
        (("disable", "arn:aws:kms:us-east-1:999999999999:key/x"), "does not exist"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "outcrop", "encryption", *arguments],
            env=dict(server.environment), capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode != 0
        assert words in done.stderr


def accounts_of(server: Server) -> str:
    database = Database.open(store_at(server.home))
    try:
        return accounts.default_account(database)
    finally:
        database.close()


def test_names_and_metadata_are_not_encrypted(server: Server, s3: Any, bucket: str) -> None:
    """They are what listings and policies go by: the search finds them, as it would find anything."""
    assert found(server.home) == []
    s3.put_object(Bucket=bucket, Key=canary("a name"), Body=b"x")
    assert found(server.home)
    s3.delete_object(Bucket=bucket, Key=canary("a name"))
