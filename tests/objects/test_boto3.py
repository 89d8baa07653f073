"""The S3 interface by an unmodified boto3."""

from __future__ import annotations

import io
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from tests.live import Server
from tests.objects.clients import Buckets, client

MIB = 1024 * 1024
PART = 5 * MIB


@pytest.fixture(scope="module")
def s3(server: Server) -> Any:
    return client(server)


@pytest.fixture
def bucket(buckets: Buckets) -> str:
    return buckets.new()


def refused(code: str, status: int) -> pytest.RaisesExc[ClientError]:
    def check(problem: ClientError) -> bool:
        return (problem.response["Error"]["Code"], problem.response["ResponseMetadata"]["HTTPStatusCode"]) == (
            code,
            status,
        )

    return pytest.RaisesExc(ClientError, check=check)


def all_refused(code: str, status: int, *attempts: Callable[[], object]) -> None:
    for attempt in attempts:
        with refused(code, status):
            attempt()


def content(s3: Any, bucket: str, key: str, **more: Any) -> bytes:
    body: bytes = s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read()
    return body


def test_buckets(s3: Any, server: Server) -> None:
    for region, constraint in (("us-east-1", None), ("eu-west-1", {"LocationConstraint": "eu-west-1"})):
        name = f"life-of-{region}"
        here = client(server, region=region)
        more = {} if constraint is None else {"CreateBucketConfiguration": constraint}
        here.create_bucket(Bucket=name, **more)
        assert here.head_bucket(Bucket=name)["BucketRegion"] == region
        assert here.get_bucket_location(Bucket=name)["LocationConstraint"] == (constraint and region)
        assert name in [one["Name"] for one in s3.list_buckets()["Buckets"]]
        with refused("BucketAlreadyOwnedByYou", 409):
            here.create_bucket(Bucket=name, **more)
        here.put_object(Bucket=name, Key="key", Body=b"")
        with refused("BucketNotEmpty", 409):
            s3.delete_bucket(Bucket=name)
        here.delete_object(Bucket=name, Key="key")
        s3.create_multipart_upload(Bucket=name, Key="never completed")
        s3.delete_bucket(Bucket=name)
        with refused("404", 404):
            s3.head_bucket(Bucket=name)
        with refused("NoSuchBucket", 404):
            s3.delete_bucket(Bucket=name)


def test_what_comes_with_an_object(s3: Any, bucket: str) -> None:
    given = {
        "ContentType": "text/plain; charset=utf-8", "CacheControl": "max-age=3", "ContentDisposition": 'attachment; filename="a"',
        "ContentEncoding": "gzip", "ContentLanguage": "de", "Metadata": {"color": "blue", "empty": ""},
    }  # fmt: skip
    put = s3.put_object(Bucket=bucket, Key="a/b", Body=b"hello", **given)
    for found in (s3.head_object(Bucket=bucket, Key="a/b"), s3.get_object(Bucket=bucket, Key="a/b")):
        assert {name: found[name] for name in given} == given
        assert found["ContentLength"] == 5
        assert found["ETag"] == put["ETag"] == f'"{md5(b"hello", usedforsecurity=False).hexdigest()}"'
        assert abs(found["LastModified"] - datetime.now(UTC)) < timedelta(minutes=1)
    shown = s3.get_object(Bucket=bucket, Key="a/b", ResponseContentType="x/y", ResponseCacheControl="no-store")
    assert (shown["ContentType"], shown["CacheControl"]) == ("x/y", "no-store")


def test_what_is_not_there(s3: Any, bucket: str) -> None:
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="none")
    with refused("404", 404):
        s3.head_object(Bucket=bucket, Key="none")
    with refused("NoSuchBucket", 404):
        s3.put_object(Bucket="no-such-bucket-here", Key="k", Body=b"x" * MIB)
    with refused("NoSuchUpload", 404):
        s3.upload_part(Bucket=bucket, Key="k", UploadId="none", PartNumber=1, Body=b"x" * MIB)
    s3.delete_object(Bucket=bucket, Key="none")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("bytes=0-0", b"a"),
        ("bytes=2-3", b"cd"),
        ("bytes=4-", b"ef"),
        ("bytes=-2", b"ef"),
        ("bytes=3-99", b"def"),
        ("bytes=-99", b"abcdef"),
    ],
)
def test_ranges(s3: Any, bucket: str, asked: str, expected: bytes) -> None:
    s3.put_object(Bucket=bucket, Key="letters", Body=b"abcdef")
    found = s3.get_object(Bucket=bucket, Key="letters", Range=asked)
    start = b"abcdef".index(expected)
    assert found["Body"].read() == expected
    assert found["ContentRange"] == f"bytes {start}-{start + len(expected) - 1}/6"
    assert found["ResponseMetadata"]["HTTPStatusCode"] == 206


def test_ranges_that_are_none(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="letters", Body=b"abcdef")
    for asked in ("bytes=6-", "bytes=9-10", "bytes=-0"):
        with refused("InvalidRange", 416):
            s3.get_object(Bucket=bucket, Key="letters", Range=asked)
    for asked in ("bytes=3-2", "lines=1-2", "bytes=a-b", "bytes=0-1,3-4"):
        assert content(s3, bucket, "letters", Range=asked) == b"abcdef"


def test_conditions_of_reading(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1")["ETag"]
    modified = s3.head_object(Bucket=bucket, Key="k")["LastModified"]
    before, after = modified - timedelta(hours=1), modified + timedelta(hours=1)
    for fine in (
        {"IfMatch": etag}, {"IfMatch": "*"}, {"IfNoneMatch": '"other"'}, {"IfModifiedSince": before},
        {"IfUnmodifiedSince": modified}, {"IfMatch": etag, "IfUnmodifiedSince": before},
        {"IfNoneMatch": '"other"', "IfModifiedSince": after},
    ):  # fmt: skip
        assert content(s3, bucket, "k", **fine) == b"1"
    for unchanged in (
        {"IfNoneMatch": etag},
        {"IfModifiedSince": modified},
        {"IfNoneMatch": etag, "IfModifiedSince": before},
    ):
        with refused("304", 304):
            s3.get_object(Bucket=bucket, Key="k", **unchanged)
    for other in ({"IfMatch": '"other"'}, {"IfUnmodifiedSince": before}):
        with refused("PreconditionFailed", 412):
            s3.get_object(Bucket=bucket, Key="k", **other)
        with refused("412", 412):
            s3.head_object(Bucket=bucket, Key="k", **other)


def test_conditions_of_writing(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    with refused("PreconditionFailed", 412):
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch='"other"')
    s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfMatch=etag)
    with refused("NoSuchKey", 404):
        s3.put_object(Bucket=bucket, Key="none", Body=b"2", IfMatch=etag)
    assert content(s3, bucket, "k") == b"2"


@pytest.mark.parametrize("algorithm", ["CRC32", "SHA1", "SHA256"])
def test_checksums(s3: Any, bucket: str, algorithm: str) -> None:
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"hello", ChecksumAlgorithm=algorithm)
    member = f"Checksum{algorithm}"
    found = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert found["Body"].read() == b"hello"
    assert found[member] == put[member]
    assert found["ChecksumType"] == "FULL_OBJECT"
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello", **{member: put[member]})
    with refused("BadDigest", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"other", **{member: put[member]})
    assert content(s3, bucket, "k") == b"hello"


@pytest.mark.parametrize("when", ["when_supported", "when_required"])
@pytest.mark.parametrize("signed", [True, False])
def test_ways_to_send(server: Server, bucket: str, when: str, signed: bool) -> None:
    there = client(
        server,
        request_checksum_calculation=when,
        response_checksum_validation=when,
        s3={"payload_signing_enabled": signed},
    )
    there.put_object(Bucket=bucket, Key="k", Body=io.BytesIO(b"streamed" * 50_000))
    assert content(there, bucket, "k") == b"streamed" * 50_000


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_presigned(server: Server, bucket: str, region: str) -> None:
    """Version 2 of the signature in the first region, version 4 in the second."""
    there = client(server, region=region)
    params = {"Bucket": bucket, "Key": "a b/ü+%&?.txt"}
    put = there.generate_presigned_url("put_object", Params={**params, "ContentType": "text/plain"})
    request = urllib.request.Request(put, b"by link", {"Content-Type": "text/plain"}, method="PUT")  # noqa: S310
    assert urllib.request.urlopen(request, timeout=10).status == 200  # noqa: S310
    link = there.generate_presigned_url("get_object", Params={**params, "ResponseContentType": "a/b"})
    with urllib.request.urlopen(link, timeout=10) as answer:  # noqa: S310
        assert (answer.read(), answer.headers["content-type"]) == (b"by link", "a/b")
    assert there.head_object(**params)["ContentType"] == "text/plain"
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(link.replace("ResponseContentType", "x").replace("a%2Fb", "b%2Fb"), timeout=10)  # noqa: S310


def test_both_listings(s3: Any, bucket: str) -> None:
    keys = ["a", "b/1", "b/2", "c d+e", "ü/1", "z&<>\"'"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for operation in ("list_objects", "list_objects_v2"):
        for size in (1, 2, 100):
            pages = s3.get_paginator(operation).paginate(Bucket=bucket, PaginationConfig={"PageSize": size})
            assert [one["Key"] for page in pages for one in page.get("Contents", ())] == sorted(keys, key=str.encode)
            pages = s3.get_paginator(operation).paginate(
                Bucket=bucket, Delimiter="/", PaginationConfig={"PageSize": size}
            )
            found = list(pages)
            assert [one["Prefix"] for page in found for one in page.get("CommonPrefixes", ())] == ["b/", "ü/"]
            assert [one["Key"] for page in found for one in page.get("Contents", ())] == ["a", "c d+e", "z&<>\"'"]
    first = s3.list_objects_v2(Bucket=bucket, StartAfter="b/1", Prefix="b/", FetchOwner=True)
    assert [one["Key"] for one in first["Contents"]] == ["b/2"]
    assert first["Contents"][0]["Owner"]["ID"].isdigit()
    assert first["Contents"][0]["Size"] == 3
    assert s3.list_objects_v2(Bucket=bucket, MaxKeys=0)["KeyCount"] == 0
    with refused("InvalidArgument", 400):
        s3.list_objects_v2(Bucket=bucket, ContinuationToken="not one of ours")


def test_deleting_many(s3: Any, bucket: str) -> None:
    keys = [f"many/{number}" for number in range(30)] + ["<&>", "ü"]
    for key in keys[:5] + keys[-2:]:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    assert sorted(one["Key"] for one in gone["Deleted"]) == sorted(keys)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Quiet": True, "Objects": [{"Key": "x"}, {"Key": "k" * 1025}]})
    assert "Deleted" not in quiet
    assert [(one["Code"], one["Key"]) for one in quiet["Errors"]] == [("KeyTooLongError", "k" * 1025)]


def test_copying(s3: Any, bucket: str, buckets: Buckets) -> None:
    other = buckets.new()
    s3.put_object(Bucket=bucket, Key="ü +%/a", Body=b"1", Metadata={"a": "b"}, ContentType="text/plain")
    source = {"Bucket": bucket, "Key": "ü +%/a"}
    etag = s3.copy_object(Bucket=other, Key="b", CopySource=source)["CopyObjectResult"]["ETag"]
    found = s3.head_object(Bucket=other, Key="b")
    assert (found["ETag"], found["Metadata"], found["ContentType"]) == (etag, {"a": "b"}, "text/plain")
    s3.copy_object(Bucket=other, Key="b", CopySource=source, MetadataDirective="REPLACE", Metadata={"c": "d"})
    assert s3.head_object(Bucket=other, Key="b")["Metadata"] == {"c": "d"}
    with refused("InvalidRequest", 400):
        s3.copy_object(Bucket=bucket, Key="ü +%/a", CopySource=source)
    s3.copy_object(Bucket=bucket, Key="ü +%/a", CopySource=source, MetadataDirective="REPLACE", ContentType="x/y")
    assert s3.head_object(Bucket=bucket, Key="ü +%/a")["ContentType"] == "x/y"
    assert content(s3, bucket, "ü +%/a") == b"1"
    with refused("NoSuchKey", 404):
        s3.copy_object(Bucket=other, Key="b", CopySource={"Bucket": bucket, "Key": "none"})
    for condition in ({"CopySourceIfMatch": '"other"'}, {"CopySourceIfNoneMatch": etag}):
        with refused("PreconditionFailed", 412):
            s3.copy_object(Bucket=other, Key="b", CopySource=source, **condition)


@pytest.fixture
def upload(s3: Any, bucket: str) -> dict[str, str]:
    made = s3.create_multipart_upload(Bucket=bucket, Key="whole", ContentType="text/plain", Metadata={"a": "b"})
    return {"Bucket": bucket, "Key": "whole", "UploadId": made["UploadId"]}


def parts_of(*parts: tuple[int, dict[str, Any]]) -> dict[str, Any]:
    return {"Parts": [{"PartNumber": number, "ETag": part["ETag"]} for number, part in parts]}


def test_a_multipart_upload(s3: Any, bucket: str, upload: dict[str, str]) -> None:
    two = s3.upload_part(**upload, PartNumber=7, Body=b"tail")
    s3.upload_part(**upload, PartNumber=2, Body=b"written over")
    one = s3.upload_part(**upload, PartNumber=2, Body=b"a" * PART)
    s3.upload_part(**upload, PartNumber=3, Body=b"left out")
    assert [part["PartNumber"] for part in s3.list_parts(**upload)["Parts"]] == [2, 3, 7]
    assert [one["Key"] for one in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == ["whole"]
    pages = s3.get_paginator("list_parts").paginate(**upload, PaginationConfig={"PageSize": 2})
    assert [part["Size"] for page in pages for part in page["Parts"]] == [PART, 8, 4]
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket=bucket, Key="whole")
    done = s3.complete_multipart_upload(**upload, MultipartUpload=parts_of((2, one), (7, two)))
    digests = md5(b"a" * PART, usedforsecurity=False).digest() + md5(b"tail", usedforsecurity=False).digest()
    assert done["ETag"] == f'"{md5(digests, usedforsecurity=False).hexdigest()}-2"'
    found = s3.get_object(Bucket=bucket, Key="whole")
    assert found["Body"].read() == b"a" * PART + b"tail"
    assert (found["ContentType"], found["Metadata"]) == ("text/plain", {"a": "b"})
    again = s3.complete_multipart_upload(**upload, MultipartUpload=parts_of((2, one), (7, two)))
    assert again["ETag"] == done["ETag"]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    part = s3.get_object(Bucket=bucket, Key="whole", PartNumber=2)
    assert (part["Body"].read(), part["PartsCount"]) == (b"tail", 2)
    with refused("416", 416):
        s3.head_object(Bucket=bucket, Key="whole", PartNumber=3)


def test_uploads_that_cannot_be_completed(s3: Any, bucket: str, upload: dict[str, str]) -> None:
    one = s3.upload_part(**upload, PartNumber=1, Body=b"small")
    two = s3.upload_part(**upload, PartNumber=2, Body=b"small")
    for parts, code in (
        (parts_of((1, one), (2, two)), "EntityTooSmall"),
        (parts_of((2, two), (1, one)), "InvalidPartOrder"),
        (parts_of((1, one), (3, two)), "InvalidPart"),
        (parts_of((1, {"ETag": '"0"'})), "InvalidPart"),
        ({"Parts": []}, "MalformedXML"),
    ):
        with refused(code, 400):
            s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    s3.put_object(Bucket=bucket, Key="whole", Body=b"")
    with refused("PreconditionFailed", 412):
        s3.complete_multipart_upload(**upload, MultipartUpload=parts_of((1, one)), IfNoneMatch="*")
    s3.abort_multipart_upload(**upload)
    with refused("NoSuchUpload", 404):
        s3.abort_multipart_upload(**upload)
    with refused("NoSuchUpload", 404):
        s3.complete_multipart_upload(**upload, MultipartUpload=parts_of((1, one)))


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [("CRC32", "COMPOSITE"), ("CRC32", "FULL_OBJECT"), ("SHA256", "COMPOSITE"), ("SHA1", "COMPOSITE")],
)
def test_checksums_of_parts(s3: Any, bucket: str, algorithm: str, kind: str) -> None:
    made = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm, ChecksumType=kind)
    assert (made["ChecksumAlgorithm"], made["ChecksumType"]) == (algorithm, kind)
    named = {"Bucket": bucket, "Key": "k", "UploadId": made["UploadId"]}
    member = f"Checksum{algorithm}"
    parts = []
    for number, body in ((1, b"a" * PART), (2, b"b")):
        part = s3.upload_part(**named, PartNumber=number, Body=body, ChecksumAlgorithm=algorithm)
        parts.append({"PartNumber": number, "ETag": part["ETag"], member: part[member]})
    wrong = [parts[0], {**parts[1], member: parts[0][member]}]
    with refused("InvalidPart", 400):
        s3.complete_multipart_upload(**named, MultipartUpload={"Parts": wrong})
    done = s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    assert done["ChecksumType"] == kind
    assert done[member].endswith("-2") == (kind == "COMPOSITE")
    whole = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    # boto3 itself compares a whole object's checksum with its bytes.
    assert whole["Body"].read() == b"a" * PART + b"b"
    assert whole[member] == done[member]


def test_the_transfer_manager(s3: Any, bucket: str, tmp_path: Path) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(bytes(range(256)) * 4096 * 21)
    config = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, max_concurrency=4)
    s3.upload_file(str(source), bucket, "big", Config=config, ExtraArgs={"Metadata": {"a": "b"}})
    s3.download_file(bucket, "big", str(back), Config=config)
    assert back.read_bytes() == source.read_bytes()
    s3.copy({"Bucket": bucket, "Key": "big"}, bucket, "copy", Config=config)
    copied = s3.head_object(Bucket=bucket, Key="copy")
    assert copied["ContentLength"] == 21 * MIB
    assert content(s3, bucket, "copy", Range=f"bytes={PART - 3}-{PART + 3}") == source.read_bytes()[PART - 3 : PART + 4]


def test_what_is_not_built_says_so(s3: Any, bucket: str) -> None:
    all_refused(
        "NotImplemented",
        501,
        lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"", ServerSideEncryption="aws:kms:dsse"),
        lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"", Tagging="a=b"),
        lambda: s3.put_object(Bucket=bucket, Key="k", Body=b"", ACL="public-read"),
        lambda: s3.get_object_tagging(Bucket=bucket, Key="k"),
        lambda: s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}),
        lambda: s3.get_bucket_policy(Bucket=bucket),
        lambda: s3.get_object(Bucket=bucket, Key="k", VersionId="1"),
    )
    with refused("InvalidStorageClass", 400):
        s3.put_object(Bucket=bucket, Key="k", Body=b"", StorageClass="GLACIER")
    s3.put_object(Bucket=bucket, Key="k", Body=b"", ACL="private", StorageClass="STANDARD")
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
