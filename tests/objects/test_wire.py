"""What no SDK sends by itself: odd paths, bodies that are not as announced, other ways of addressing, unreadable documents."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import re
import socket
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest

from outcrop.objects import checksums
from outcrop.objects.checksums import ALGORITHMS
from outcrop.objects.door.content import LARGEST
from outcrop.objects.door.signatures import Seal
from tests.live import Server
from tests.objects.clients import Answer, Buckets, administrators, call, client, send
from tests.objects.local import files

EMPTY = hashlib.sha256(b"").hexdigest()


@pytest.fixture
def bucket(buckets: Buckets) -> str:
    return buckets.new()


def code(answer: Answer) -> str:
    found = re.search(rb"<Code>(\w+)</Code>", answer.body)
    return found[1].decode() if found else ""


@pytest.mark.parametrize(
    "key",
    [
        "a//b",
        "/a",
        "a/../b",
        "..",
        "./",
        "%00",
        "%01%0A",
        "a%2Fb",
        "%E2%98%83",
        "~-_.!'()*",
        "a+b",
        "%2B",
        "%25%32%35",
        "a?"[:1],
    ],
)
def test_keys_as_they_are(server: Server, bucket: str, key: str) -> None:
    assert call(server, "PUT", f"/{bucket}/{key}", b"content").status == 200
    assert call(server, "GET", f"/{bucket}/{key}").body == b"content"
    listed = call(server, "GET", f"/{bucket}?list-type=2&encoding-type=url")
    assert listed.body.count(b"<Key>") == 1
    assert call(server, "DELETE", f"/{bucket}/{key}").status == 204
    assert call(server, "GET", f"/{bucket}/{key}").status == 404


def test_a_key_that_is_no_text(server: Server, bucket: str) -> None:
    answer = call(server, "PUT", f"/{bucket}/%FF", b"x")
    assert (answer.status, code(answer)) == (400, "InvalidURI")


def test_no_bucket_hides_a_path_of_bedrocks(server: Server) -> None:
    """The service in the signature tells them apart."""
    s3 = client(server)
    s3.create_bucket(Bucket="model")
    s3.create_bucket(Bucket="foundation-models")
    s3.put_object(Bucket="model", Key="some.model-v1:0/converse", Body=b"an object")
    assert call(server, "GET", "/model/some.model-v1%3A0/converse").body == b"an object"
    assert call(server, "GET", "/foundation-models").headers["content-type"] == "application/xml"
    bedrock = call(server, "GET", "/foundation-models", service="bedrock")
    assert b"modelSummaries" in bedrock.body


def test_buckets_in_host_names(server: Server, bucket: str) -> None:
    port = urlsplit(server.url).port
    assert call(server, "PUT", "/a/b", b"x", {"Host": f"{bucket}.localhost:{port}"}).status == 200
    assert call(server, "GET", f"/{bucket}/a/b").body == b"x"
    listed = call(server, "GET", "/?list-type=2", headers={"Host": f"{bucket}.localhost"})
    assert b"<Key>a/b</Key>" in listed.body
    assert b"<Name>a</Name>" not in call(server, "GET", "/", headers={"Host": f"localhost:{port}"}).body


def test_an_error_is_a_document(server: Server) -> None:
    answer = call(server, "GET", "/no-such-bucket-here/a%3Cb")
    assert answer.status == 404
    assert answer.headers["content-type"] == "application/xml"
    assert b"<Error><Code>NoSuchBucket</Code>" in answer.body
    assert b"<Resource>/no-such-bucket-here/a&lt;b</Resource>" in answer.body
    assert f"<RequestId>{answer.headers['x-amz-request-id']}</RequestId>".encode() in answer.body
    assert server.says("404 s3.GetObject", answer.headers["x-amz-request-id"])


def test_a_call_is_in_the_audit_trail(server: Server, bucket: str) -> None:
    asked = call(server, "GET", f"/{bucket}/a%20b").headers["x-amz-request-id"]
    written = "".join(path.read_text() for path in files(server.home / "audit") if path.suffix == ".jsonl")
    record = next(json.loads(line) for line in written.splitlines() if asked in line)
    record = record.get("record", record)
    assert (record["eventSource"], record["eventName"], record["errorCode"]) == (
        "s3.amazonaws.com",
        "GetObject",
        "NoSuchKey",
    )
    assert record["requestParameters"] == {"bucketName": bucket, "key": "a b"}


def test_bodies_that_are_not_as_announced(server: Server, bucket: str) -> None:
    path = f"/{bucket}/key"
    md5 = base64.b64encode(hashlib.md5(b"content", usedforsecurity=False).digest()).decode()
    assert call(server, "PUT", path, b"content", {"Content-MD5": md5}).status == 200
    for headers, expected in (
        ({"Content-MD5": base64.b64encode(bytes(16)).decode()}, "BadDigest"),
        ({"Content-MD5": "short"}, "InvalidDigest"),
        ({"x-amz-checksum-sha256": base64.b64encode(bytes(32)).decode()}, "BadDigest"),
        ({"x-amz-checksum-sha256": "short"}, "InvalidRequest"),
        ({"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-crc32c": "AAAAAA=="}, "InvalidRequest"),
        ({"x-amz-trailer": "x-amz-checksum-crc32"}, "InvalidRequest"),
        ({"x-amz-meta-a": "b" * 2048}, "MetadataTooLarge"),
    ):
        answer = call(server, "PUT", path, b"other", headers)
        assert (answer.status, code(answer)) == (400, expected), headers
    assert call(server, "GET", path).body == b"content"


def test_another_body_than_was_signed(server: Server, bucket: str) -> None:
    path, signed = f"/{bucket}/key", hashlib.sha256(b"content").hexdigest()
    assert send(server, "PUT", path, b"content", hand_signed(server, path, {}, signed)[0]).status == 200
    changed = send(server, "PUT", path, b"CONTENT", hand_signed(server, path, {}, signed)[0])
    assert (changed.status, code(changed)) == (400, "XAmzContentSHA256Mismatch")
    assert call(server, "GET", path).body == b"content"


def hand_signed(server: Server, path: str, headers: Mapping[str, str], payload: str) -> tuple[dict[str, str], Seal]:
    """The headers of a PUT whose body is sent in some other form than the signer knows; and what its chunks are signed with."""
    key = administrators(server)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    given = {"host": urlsplit(server.url).netloc, "x-amz-content-sha256": payload, "X-Amz-Date": stamp, **headers}
    request = AWSRequest("PUT", server.url + path, headers=given)
    request.context["timestamp"] = stamp
    signer = S3SigV4Auth(key.credentials, "s3", "us-east-1")
    signature = signer.signature(signer.string_to_sign(request, signer.canonical_request(request)), request)
    names = signer.signed_headers(signer.headers_to_sign(request))
    given["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={signer.scope(request)}, SignedHeaders={names}, Signature={signature}"
    )
    return given, Seal(key.secret, stamp[:8], "us-east-1", f"{stamp[:8]}/us-east-1/s3/aws4_request", stamp, signature)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_unsigned_chunks_with_a_checksum_at_the_end(server: Server, bucket: str, algorithm: str) -> None:
    whole = checksums.running(algorithm)
    whole.update(b"wikipedia")
    name, value = checksums.header_of(algorithm), checksums.encoded(whole.digest())
    headers = {"content-encoding": "aws-chunked,gzip", "x-amz-decoded-content-length": "9", "x-amz-trailer": name}

    def put(body: bytes, length: str = "9") -> Answer:
        path, given = f"/{bucket}/key", {**headers, "x-amz-decoded-content-length": length}
        return send(
            server, "PUT", path, body, hand_signed(server, path, given, "STREAMING-UNSIGNED-PAYLOAD-TRAILER")[0]
        )

    body = b"4\r\nwiki\r\n5\r\npedia\r\n0\r\n%s:%s\r\n\r\n" % (name.encode(), value.encode())
    answer = put(body)
    assert answer.status == 200, answer.body
    assert answer.headers[name] == value
    found = call(server, "GET", f"/{bucket}/key", headers={"x-amz-checksum-mode": "ENABLED"})
    assert found.body == b"wikipedia"
    assert (found.headers["content-encoding"], found.headers[name]) == ("gzip", value)
    assert code(put(body.replace(b"pedia", b"PEDIA"))) == "BadDigest"
    assert code(put(body.replace(name.encode(), b"x-amz-other"))) == "MalformedTrailerError"
    assert code(put(body[:-20])) == "IncompleteBody"
    assert code(put(body, "8")) == "IncompleteBody"
    assert code(put(body, "10")) == "IncompleteBody"
    assert call(server, "GET", f"/{bucket}/key").body == b"wikipedia"


def signed_chunks(server: Server, path: str, pieces: list[bytes], *, spoil: bool = False) -> Answer:
    """As the SDKs for Java and .NET and many S3 clients upload over HTTP."""
    size = str(sum(map(len, pieces)))
    headers = {"x-amz-decoded-content-length": size, "content-encoding": "aws-chunked"}
    headers, seal = hand_signed(server, path, headers, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    body, before = b"", seal.seed
    for piece in [*pieces, b""]:
        before = seal.of_chunk(before, hashlib.sha256(piece).hexdigest())
        sent = piece.replace(b"a", b"b", 1) if spoil else piece
        body += f"{len(piece):x};chunk-signature={before}\r\n".encode() + sent + b"\r\n"
    return send(server, "PUT", path, body, headers)


def test_signed_chunks(server: Server, bucket: str) -> None:
    pieces = [b"a" * 65536, b"a" * 65536, b"end"]
    assert signed_chunks(server, f"/{bucket}/key", pieces).status == 200
    assert call(server, "GET", f"/{bucket}/key").body == b"".join(pieces)
    answer = signed_chunks(server, f"/{bucket}/key", [b"a" * 65536, b"spoilt"], spoil=True)
    assert (answer.status, code(answer)) == (403, "SignatureDoesNotMatch")
    assert call(server, "GET", f"/{bucket}/key").body == b"".join(pieces)


def test_lengths(server: Server, bucket: str) -> None:
    answer = call(server, "PUT", f"/{bucket}/key", extra={"Content-Length": str(LARGEST + 1)})
    assert (answer.status, code(answer)) == (400, "EntityTooLarge")
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=10)
    headers, _ = hand_signed(server, f"/{bucket}/key", {}, "UNSIGNED-PAYLOAD")
    connection.request("PUT", f"/{bucket}/key", iter([b"no", b"length"]), headers, encode_chunked=True)
    answered = connection.getresponse()
    assert answered.status == 411
    assert b"MissingContentLength" in answered.read()


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("POST", "?delete", b"<Delete><Object><Key>a</Key>", (400, "MalformedXML")),
        ("POST", "?delete", b"<Other/>", (400, "MalformedXML")),
        ("POST", "?delete", b"<Delete/>", (400, "MalformedXML")),
        (
            "POST",
            "?delete",
            b'<!DOCTYPE d [<!ENTITY x "y">]><Delete><Object><Key>&x;</Key></Object></Delete>',
            (400, "MalformedXML"),
        ),
        (
            "POST",
            "?delete",
            b"<Delete>" + b"<Object><Key>k</Key></Object>" * 1001 + b"</Delete>",
            (400, "MalformedXML"),
        ),
        ("POST", "", b"", (405, "MethodNotAllowed")),
        ("PATCH", "/key", b"", (405, "MethodNotAllowed")),
        ("GET", "?policy", b"", (501, "NotImplemented")),
        ("GET", "?list-type=2&max-keys=x", b"", (400, "InvalidArgument")),
        ("GET", "?list-type=2&encoding-type=utf", b"", (400, "InvalidArgument")),
        ("GET", "/key?partNumber=0", b"", (404, "NoSuchKey")),
        ("PUT", "/key?partNumber=0&uploadId=x", b"", (404, "NoSuchUpload")),
    ],
)
def test_what_cannot_be_read(
    server: Server, bucket: str, method: str, path: str, body: bytes, expected: tuple[int, str]
) -> None:
    answer = call(server, method, f"/{bucket}{path}", body)
    assert (answer.status, code(answer)) == expected


def test_documents_with_other_namespaces_and_encodings(server: Server, bucket: str) -> None:
    call(server, "PUT", f"/{bucket}/%C3%BC", b"")
    body = '<?xml version="1.0" encoding="utf-16"?><x:Delete xmlns:x="any"><x:Object><x:Key>ü</x:Key></x:Object></x:Delete>'
    assert call(server, "POST", f"/{bucket}?delete", body.encode("utf-16")).status == 200
    assert call(server, "GET", f"/{bucket}/%C3%BC").status == 404


def test_a_refused_upload_is_told_why(server: Server) -> None:
    """The client is still sending when it is known, and must be able to read the answer."""
    answer = call(server, "PUT", "/no-such-bucket-here/key", b"x" * 8_000_000)
    assert (answer.status, code(answer)) == (404, "NoSuchBucket")


def test_a_client_that_goes_away_leaves_nothing(server: Server, bucket: str) -> None:
    before = files(server.home / "objects")
    headers, _ = hand_signed(server, f"/{bucket}/key", {}, "UNSIGNED-PAYLOAD")
    host, _, port = urlsplit(server.url).netloc.partition(":")
    with socket.create_connection((host, int(port))) as connection:
        lines = [f"PUT /{bucket}/key HTTP/1.1", "content-length: 9000000"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + b"x" * 5_000_000)
        until(lambda: len(files(server.home / "objects")) > len(before))
    until(lambda: files(server.home / "objects") == before)
    assert call(server, "GET", f"/{bucket}/key").status == 404


def until(condition: object) -> None:
    assert callable(condition)
    for _ in range(400):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("It never came to that.")
