"""Whose buckets, and who may do what with them."""

from __future__ import annotations

import urllib.error
import urllib.request
from typing import Any

import boto3
import pytest
from botocore.config import Config

from tests.live import Server, serve
from tests.objects.clients import Buckets, another_account, call, client, limited_user, reading_role
from tests.objects.test_boto3 import all_refused, content, refused


@pytest.fixture(scope="module")
def stranger(server: Server) -> Any:
    return client(server, another_account(server.home))


def test_names_are_everybodys_and_buckets_are_not(server: Server, stranger: Any) -> None:
    s3 = client(server)
    s3.create_bucket(Bucket="of-the-first-account")
    s3.put_object(Bucket="of-the-first-account", Key="k", Body=b"mine")
    with refused("BucketAlreadyExists", 409):
        stranger.create_bucket(Bucket="of-the-first-account")
    stranger.create_bucket(Bucket="of-the-second-account")
    assert [one["Name"] for one in stranger.list_buckets()["Buckets"]] == ["of-the-second-account"]
    assert "of-the-second-account" not in [one["Name"] for one in s3.list_buckets()["Buckets"]]


def test_another_accounts_bucket(server: Server, stranger: Any, buckets: Buckets) -> None:
    bucket = buckets.new()
    s3 = client(server)
    s3.put_object(Bucket=bucket, Key="k", Body=b"mine")
    stranger.create_bucket(Bucket=f"{bucket}-theirs")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    source = {"Bucket": bucket, "Key": "k"}
    theirs = stranger.create_multipart_upload(Bucket=f"{bucket}-theirs", Key="k")["UploadId"]
    all_refused(
        "AccessDenied",
        403,
        lambda: stranger.get_object(Bucket=bucket, Key="k"),
        lambda: stranger.put_object(Bucket=bucket, Key="k", Body=b"theirs"),
        lambda: stranger.delete_object(Bucket=bucket, Key="k"),
        lambda: stranger.list_objects_v2(Bucket=bucket),
        lambda: stranger.delete_bucket(Bucket=bucket),
        lambda: stranger.get_bucket_location(Bucket=bucket),
        lambda: stranger.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]}),
        lambda: stranger.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b""),
        lambda: stranger.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload),
        lambda: stranger.copy_object(Bucket=f"{bucket}-theirs", Key="k", CopySource=source),
        lambda: stranger.upload_part_copy(
            Bucket=f"{bucket}-theirs", Key="k", UploadId=theirs, PartNumber=1, CopySource=source
        ),
    )
    assert content(s3, bucket, "k") == b"mine"


def test_policies(server: Server, buckets: Buckets) -> None:
    bucket = buckets.new()
    reader = client(
        server,
        limited_user(
            server.home,
            "reader",
            {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{bucket}"},
            {
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:DeleteObject"],
                "Resource": f"arn:aws:s3:::{bucket}/open/*",
            },
        ),
    )
    s3 = client(server)
    for key in ("open/a", "open/b", "shut/a"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert content(reader, bucket, "open/a") == b"open/a"
    assert reader.list_objects_v2(Bucket=bucket)["KeyCount"] == 3
    all_refused(
        "AccessDenied",
        403,
        lambda: reader.get_object(Bucket=bucket, Key="shut/a"),
        lambda: reader.put_object(Bucket=bucket, Key="open/a", Body=b""),
        lambda: reader.copy_object(Bucket=bucket, Key="open/c", CopySource={"Bucket": bucket, "Key": "open/a"}),
        lambda: reader.create_bucket(Bucket="readers-own"),
        lambda: reader.list_buckets(),
        lambda: reader.delete_bucket(Bucket=bucket),
    )
    gone = reader.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "open/b"}, {"Key": "shut/a"}]})
    assert [one["Key"] for one in gone["Deleted"]] == ["open/b"]
    assert [(one["Key"], one["Code"]) for one in gone["Errors"]] == [("shut/a", "AccessDenied")]
    with pytest.raises(Exception, match="is not authorized to perform: s3:PutObject on resource: arn:aws:s3:::"):
        reader.put_object(Bucket=bucket, Key="shut/a", Body=b"")


def test_a_copy_needs_its_source(server: Server, buckets: Buckets) -> None:
    bucket = buckets.new()
    writer = client(
        server,
        limited_user(
            server.home, "writer", {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
        ),
    )
    writer.put_object(Bucket=bucket, Key="k", Body=b"")
    with refused("AccessDenied", 403):
        writer.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "k"})


def test_temporary_credentials(server: Server, buckets: Buckets) -> None:
    bucket = buckets.new()
    client(server).put_object(Bucket=bucket, Key="k", Body=b"x")
    sts = boto3.client(
        "sts",
        region_name="us-east-1",
        endpoint_url=server.url,
        aws_access_key_id=server.environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=server.environment["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"max_attempts": 0}),
    )
    role = reading_role(server.home, "reads", bucket)
    given = sts.assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]
    session = boto3.client(
        "s3",
        region_name="us-east-1",
        endpoint_url=server.url,
        aws_access_key_id=given["AccessKeyId"],
        aws_secret_access_key=given["SecretAccessKey"],
        aws_session_token=given["SessionToken"],
    )
    assert content(session, bucket, "k") == b"x"
    with refused("AccessDenied", 403):
        session.put_object(Bucket=bucket, Key="k", Body=b"")


def test_without_authentication(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("open")
    with serve(home, "--insecure-no-auth", settings="house_model = false\n") as server:
        s3 = boto3.client(
            "s3",
            region_name="us-east-1",
            endpoint_url=server.url,
            aws_access_key_id="any",
            aws_secret_access_key="thing",
        )
        s3.create_bucket(Bucket="open")
        s3.put_object(Bucket="open", Key="k", Body=b"x")
        assert content(s3, "open", "k") == b"x"


def test_unsigned_requests_are_not_for_s3(server: Server, buckets: Buckets) -> None:
    """They are Bedrock's, which refuses them."""
    with pytest.raises(urllib.error.HTTPError, match=r"40[34]"):
        urllib.request.urlopen(f"{server.url}/{buckets.new()}/key", timeout=10)  # noqa: S310


def test_a_bearer_key_is_not_for_s3(server: Server, buckets: Buckets) -> None:
    answer = call(server, "GET", f"/{buckets.new()}/key", extra={"Authorization": "Bearer ABSKx"})
    assert answer.status in (401, 403, 404)
