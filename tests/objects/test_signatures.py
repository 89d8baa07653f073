"""Who may send an S3 request: AWS's own examples, botocore's signers, and what is changed after signing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import botocore.session
import pytest
from botocore.auth import HmacV1QueryAuth, S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.config import Config

from outcrop.identity import sigv4
from outcrop.identity.credentials import AccessKey, Credentials, Principal
from outcrop.identity.sessions import Sessions
from outcrop.objects.door.address import bucket_and_key, bucket_of_host, is_for_s3
from outcrop.objects.door.signatures import Proven, Signatures, canonical_path
from outcrop.objects.errors import ObjectsError
from outcrop.request import HttpRequest
from tests.identity.door import Door, opened, received
from tests.objects.contract import refused

EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
DOCUMENTED = datetime(2013, 5, 24, tzinfo=UTC)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    with opened(tmp_path_factory.mktemp("home")) as door:
        yield door


def prove(door: Door, request: HttpRequest, *, later: float = 0, host_bucket: str | None = None) -> Proven:
    signatures = Signatures(
        door.credentials,
        Sessions(door.vault),
        clock=lambda: datetime.now(UTC) + timedelta(seconds=later),
        window_seconds=300,
    )
    return signatures.prove(request, sigv4.folded(request.headers), host_bucket)


def signed(
    door: Door, method: str = "GET", path: str = "/bucket/key", body: bytes = b"", service: str = "s3", **headers: str
) -> HttpRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = AWSRequest(method, "http://127.0.0.1:8484" + path, data=body, headers={"Host": "127.0.0.1:8484", **named})
    request.context["client_config"] = Config(s3={"payload_signing_enabled": True})
    S3SigV4Auth(door.boto_credentials, service, "eu-west-1").add_auth(request)
    return received(method, request.url, request.headers, body)


def presigned(
    door: Door, signer: str, path: str = "/bucket/key", expires: int = 60, method: str = "GET"
) -> HttpRequest:
    request = AWSRequest(method, "http://127.0.0.1:8484" + path)
    if signer == "v2":
        HmacV1QueryAuth(door.boto_credentials, expires=expires).add_auth(request)
    else:
        S3SigV4QueryAuth(door.boto_credentials, "s3", "eu-west-1", expires=expires).add_auth(request)
    return received(method, request.url, {"Host": "127.0.0.1:8484"}, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/bucket/key",
        "/bucket/a//b",
        "/bucket/a/../b",
        "/bucket/%C3%BC%2B%25",
        "/bucket/a%2Fb",
        "/",
        "/bucket/?prefix=a%2Fb&delimiter=%2F",
    ],
)
def test_paths_are_taken_as_they_are(door: Door, path: str) -> None:
    proven = prove(door, signed(door, path=path))
    assert proven.caller.arn == door.administrator.arn
    assert (proven.caller.region, proven.payload) == ("eu-west-1", EMPTY)


@pytest.mark.parametrize("change", ["method", "path", "query", "header", "hash", "added"])
def test_what_was_changed_after_signing(door: Door, change: str) -> None:
    request = signed(door, "PUT", "/bucket/key?partNumber=1&uploadId=2", b"content", x_amz_meta_a="1")
    headers = dict(request.headers)
    if change == "header":
        headers["x-amz-meta-a"] = "2"
    if change == "hash":
        headers["x-amz-content-sha256"] = EMPTY
    if change == "added":
        headers["x-amz-copy-source"] = "/secrets/key"
    changed = HttpRequest(
        "DELETE" if change == "method" else request.method,
        "/bucket/other" if change == "path" else request.raw_path,
        "partNumber=2&uploadId=2" if change == "query" else request.query,
        list(headers.items()),
    )
    with refused("AccessDenied" if change == "added" else "SignatureDoesNotMatch"):
        prove(door, changed)
    prove(door, request)


def test_the_time_of_a_signature(door: Door) -> None:
    request = signed(door)
    prove(door, request, later=299)
    for seconds in (302, -302, 86400):
        with refused("RequestTimeTooSkewed"):
            prove(door, request, later=seconds)


@pytest.mark.parametrize("signer", ["v4", "v2"])
def test_presigned(door: Door, signer: str) -> None:
    request = presigned(door, signer, "/bucket/key?response-content-type=text%2Fplain")
    assert prove(door, request).caller.kind == "presigned"
    with refused("AccessDenied"):
        prove(door, request, later=62)
    for old, new in (("text%2Fplain", "text%2Fhtml"), ("Signature=", "Signature=0")):
        changed = HttpRequest("GET", request.raw_path, request.query.replace(old, new), request.headers)
        with refused("SignatureDoesNotMatch"):
            prove(door, changed)
    for method, path in (("PUT", request.raw_path), ("GET", "/bucket/other")):
        with refused("SignatureDoesNotMatch"):
            prove(door, HttpRequest(method, path, request.query, request.headers))


@pytest.mark.parametrize("name", ["x-amz-copy-source", "X-Amz-Copy-Source", "uploadId", "versionId"])
def test_nothing_can_be_added_to_an_older_presigned_query(door: Door, name: str) -> None:
    request = presigned(door, "v2", method="PUT")
    added = HttpRequest("PUT", request.raw_path, f"{request.query}&{name}=%2Fsecrets%2Fkey", request.headers)
    with refused("SignatureDoesNotMatch"):
        prove(door, added)


def test_another_services_signature(door: Door) -> None:
    with refused("AuthorizationHeaderMalformed"):
        prove(door, signed(door, service="bedrock"))


def test_unknown_keys_and_tokens(door: Door) -> None:
    request = signed(door)
    headers = [(name, value.replace(door.administrator.access_key.id, "AKIANOBODY")) for name, value in request.headers]
    with refused("InvalidAccessKeyId"):
        prove(door, HttpRequest("GET", request.raw_path, "", headers))
    with refused("InvalidToken"):
        prove(door, signed(door, x_amz_security_token="nonsense"))
    with refused("InvalidAccessKeyId"):
        prove(door, HttpRequest("GET", "/b/k", "AWSAccessKeyId=AKIANOBODY&Signature=x&Expires=99999999999", []))


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"authorization": "AWS AKIA:signature"}, "InvalidRequest"),
        ({"authorization": "AWS4-HMAC-SHA256 Credential=x"}, "InvalidRequest"),
        (
            {"authorization": "AWS4-HMAC-SHA256 Credential=x", "x-amz-content-sha256": EMPTY},
            "AuthorizationHeaderMalformed",
        ),
        ({"authorization": "AWS4-HMAC-SHA256 Credential=x", "x-amz-content-sha256": "abc"}, "InvalidArgument"),
    ],
)
def test_unreadable_signatures(door: Door, headers: Mapping[str, str], code: str) -> None:
    with refused(code):
        prove(door, HttpRequest("GET", "/bucket/key", "", list(headers.items())))


class _Documented(Credentials):
    """The key of the examples in "Authenticating Requests (AWS Signature Version 4)" of the S3 API reference."""

    def __init__(self) -> None:
        pass

    def access_key(self, key_id: str) -> AccessKey | None:
        assert key_id == "AKIAIOSFODNN7EXAMPLE"
        return AccessKey(key_id, "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", Principal("1", "AIDA", "example"))


PUT_HASH = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"
EXAMPLES: list[tuple[str, str, str, dict[str, str], str]] = [
    ("GET", "/test.txt", "", {"range": "bytes=0-9", "x-amz-content-sha256": EMPTY},
     "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
    ("PUT", "/test%24file.text", "",
     {"date": "Fri, 24 May 2013 00:00:00 GMT", "x-amz-content-sha256": PUT_HASH, "x-amz-storage-class": "REDUCED_REDUNDANCY"},
     "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
    ("GET", "/", "lifecycle", {"x-amz-content-sha256": EMPTY},
     "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    ("GET", "/", "max-keys=2&prefix=J", {"x-amz-content-sha256": EMPTY},
     "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "query", "headers", "signature"), EXAMPLES)
def test_documented_examples(method: str, path: str, query: str, headers: dict[str, str], signature: str) -> None:
    headers = {**headers, "host": "examplebucket.s3.amazonaws.com", "x-amz-date": "20130524T000000Z"}
    scope = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"
    names = ";".join(sorted(headers))
    headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders={names}, Signature={signature}"
    assert documented(HttpRequest(method, path, query, list(headers.items()))).caller.account == "1"


def test_documented_presigned_example() -> None:
    query = (
        "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )
    headers = [("host", "examplebucket.s3.amazonaws.com")]
    assert documented(HttpRequest("GET", "/test.txt", query, headers)).payload == "UNSIGNED-PAYLOAD"


def documented(request: HttpRequest) -> Proven:
    signatures = Signatures(_Documented(), _NoSessions(), clock=lambda: DOCUMENTED, window_seconds=300)
    return signatures.prove(request, sigv4.folded(request.headers), None)


class _NoSessions(Sessions):
    def __init__(self) -> None:
        pass


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("/a b", "/a%20b"),
        ("/a%20b", "/a%20b"),
        ("/a%2fb", "/a/b"),
        ("/~-_.", "/~-_."),
        ("/%7e", "/~"),
        ("", "/"),
        ("/a//./..", "/a//./.."),
    ],
)
def test_the_canonical_path_is_encoded_once(raw: str, canonical: str) -> None:
    assert canonical_path(raw) == canonical


def test_which_requests_are_for_s3(door: Door) -> None:
    def asked(request: HttpRequest) -> bool:
        return is_for_s3([(k.encode(), v.encode()) for k, v in request.headers], request.query.encode())

    assert asked(signed(door))
    assert asked(presigned(door, "v4"))
    assert asked(presigned(door, "v2"))
    assert not asked(door.signed())
    assert not asked(door.presigned())
    assert not asked(HttpRequest("GET", "/foundation-models", "X-Amz-Date=/s3/aws4_request", []))
    assert not asked(HttpRequest("GET", "/", "", [("authorization", "Bearer /s3/aws4_request")]))
    other = [
        ("authorization", "AWS4-HMAC-SHA256 Credential=A/1/r/bedrock/aws4_request, SignedHeaders=/s3/aws4_request")
    ]
    assert not asked(HttpRequest("GET", "/model/x", "", other))


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        ("127.0.0.1:8484", "/bucket/a/b%20c", ("bucket", "a/b c")),
        ("localhost:8484", "/bucket", ("bucket", "")),
        ("localhost", "/bucket/", ("bucket", "")),
        ("bucket.localhost:8484", "/a/b", ("bucket", "a/b")),
        ("a.b.localhost", "/", ("a.b", "")),
        ("bucket.elsewhere:80", "/x/y", ("x", "y")),
        ("[::1]:8484", "/x/%2Fy", ("x", "/y")),
        ("127.0.0.1", "//key", ("", "key")),
    ],
)
def test_bucket_and_key(host: str, path: str, expected: tuple[str, str]) -> None:
    assert bucket_and_key(path, bucket_of_host(host, ("localhost",))) == expected


def test_a_key_that_is_no_text() -> None:
    with refused("InvalidURI"):
        bucket_and_key("/bucket/%FF", None)


def test_presigned_by_the_client_itself(door: Door, tmp_path: Path) -> None:
    """boto3 still makes version 2 for regions that had it, and version 4 for others."""
    for region, marker in (("us-east-1", "AWSAccessKeyId="), ("eu-central-1", "X-Amz-Signature=")):
        key = door.administrator.access_key
        client: Any = botocore.session.Session().create_client(
            "s3",
            region,
            endpoint_url="http://127.0.0.1:8484",
            aws_access_key_id=key.id,
            aws_secret_access_key=key.secret,
        )
        params = {"Bucket": "bucket", "Key": "a/ü b+c", "ContentType": "text/plain", "Metadata": {"a": "b"}}
        url = urlsplit(client.generate_presigned_url("put_object", Params=params))
        assert marker in url.query
        headers = {"Host": url.netloc, "Content-Type": "text/plain", "x-amz-meta-a": "b"}
        request = received("PUT", url.geturl(), headers, b"")
        assert prove(door, request).caller.arn == door.administrator.arn
        with pytest.raises(ObjectsError):
            prove(door, received("PUT", url.geturl(), {**headers, "x-amz-meta-a": "c"}, b""))
