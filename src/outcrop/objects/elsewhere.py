"""Objects in another S3: Amazon's, MinIO's, Ceph's, another Outcrop's. By AWS's own client and its transfer manager.

Why these and not others is in docs/dependencies.md.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from s3transfer.manager import TransferManager

from outcrop.objects.errors import ObjectsError, no_such_bucket, no_such_key, not_implemented
from outcrop.objects.local.listing import common_prefix
from outcrop.objects.local.objects import blocks
from outcrop.objects.names import parse, parse_object
from outcrop.objects.objects import CHUNK_BYTES, CONTENT_TYPE, LARGEST_PAGE, Body, Page, Reading, Stored, checked_range
from outcrop.settings import BucketSpec, ElsewhereSpec

# Headers by the names that the client gives them.
_HEADERS = {
    "CacheControl": "cache-control",
    "ContentDisposition": "content-disposition",
    "ContentEncoding": "content-encoding",
    "ContentLanguage": "content-language",
    "ContentType": "content-type",
}
# Answers to HEAD have no body, and so no code.
_CODES = {"404": "NoSuchKey", "403": "AccessDenied", "412": "PreconditionFailed", "416": "InvalidRange"}
# Past every key that begins with what stands before it, but for those that go on with this very character.
_LAST_CHARACTER = "\U0010ffff"

logger = logging.getLogger("outcrop.objects")


def connect(spec: ElsewhereSpec, bucket: str) -> ElsewhereObjects:
    """Nothing is sent yet. ObjectsError if there are no credentials."""
    amazon = spec.endpoint == "aws"
    keys = {}
    if spec.access_key_env is not None and spec.secret_key_env is not None:
        keys = {
            "aws_access_key_id": os.environ.get(spec.access_key_env),
            "aws_secret_access_key": os.environ.get(spec.secret_key_env),
        }
    try:
        client = botocore.session.Session(profile=spec.profile).create_client(
            "s3",
            endpoint_url=None if amazon else spec.endpoint,
            region_name=spec.region or ("us-east-1" if not amazon else None),
            config=_config(amazon=amazon),
            **keys,
        )
    except BotoCoreError as problem:
        raise _unreachable(bucket, problem) from None
    there = (spec.bucket if isinstance(spec, BucketSpec) else None) or bucket
    return ElsewhereObjects(client, bucket, there)


def _config(*, amazon: bool) -> Config:
    # Others know neither buckets in host names nor, when they are older, checksums that nobody asked for.
    others = {
        "s3": {"addressing_style": "path"},
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
    return Config(
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=16,
        retries={"mode": "standard", "total_max_attempts": 4},
        # What points this machine's clients at Outcrop must not point Outcrop at itself.
        ignore_configured_endpoint_urls=True,
        **({} if amazon else others),
    )


class ElsewhereObjects:
    """One bucket, which the other S3 may know by another name."""

    def __init__(self, client: Any, bucket: str, there: str) -> None:
        self._client = client
        self._bucket = bucket
        self._there = there
        self._transfers = TransferManager(client)

    def head(self, uri: str) -> Stored:
        key = parse_object(uri).key
        with self._told(key):
            found = self._client.head_object(Bucket=self._there, Key=key)
        return self._stored(key, found, found["ContentLength"])

    def exists(self, uri: str) -> bool:
        try:
            self.head(uri)
        except ObjectsError as problem:
            if problem.code != "NoSuchKey":
                raise
            return False
        return True

    def open(self, uri: str, start: int = 0, stop: int | None = None) -> Reading:
        key = parse_object(uri).key
        if start < 0 or (stop is not None and stop <= start):
            stored = self.head(uri)
            checked_range(start, stop, stored.size)
            return Reading(stored, iter(()), _nothing)
        wanted = {} if (start, stop) == (0, None) else {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"}
        try:
            with self._told(key):
                found = self._client.get_object(Bucket=self._there, Key=key, **wanted)
        except ObjectsError as problem:
            # An empty object has no byte to begin with.
            if problem.code != "InvalidRange" or start != 0:
                raise
            return Reading(self.head(uri), iter(()), _nothing)
        body = found["Body"]
        size = int(found.get("ContentRange", f"/{found['ContentLength']}").rpartition("/")[2])
        return Reading(self._stored(key, found, size), self._chunks(key, body), body.close)

    def get(self, uri: str, start: int = 0, stop: int | None = None) -> bytes:
        with self.open(uri, start, stop) as reading:
            return reading.read()

    def put(
        self,
        uri: str,
        body: Body,
        *,
        content_type: str = CONTENT_TYPE,
        metadata: Mapping[str, str] | None = None,
        only_new: bool = False,
        key: str | None = None,
    ) -> Stored:
        """Large ones in parts, several at a time. A key of this server does not reach there, so one is refused."""
        if key is not None:
            raise not_implemented("A key of this server for a bucket in another S3")
        name = parse_object(uri).key
        extra: dict[str, object] = {"ContentType": content_type, "Metadata": dict(metadata or {})}
        source = str(body) if isinstance(body, Path) else BytesIO(body) if isinstance(body, bytes) else _Pieces(body)
        with self._told(name):
            if only_new:
                self._put_new(name, body, extra)
            else:
                self._transfers.upload(source, self._there, name, extra_args=extra).result()
        return self.head(uri)

    def _put_new(self, key: str, body: Body, extra: Mapping[str, object]) -> None:
        """In one request, because the transfer manager knows no conditions."""
        with TemporaryFile() as file:
            for block in blocks(body):
                file.write(block)
            file.seek(0)
            self._client.put_object(Bucket=self._there, Key=key, Body=file, IfNoneMatch="*", **extra)

    def list(self, uri: str, *, delimiter: str = "", after: str = "", limit: int = LARGEST_PAGE) -> Page:
        prefix = parse(uri).key
        if limit <= 0:
            return Page(())
        if after and after == common_prefix(after, prefix, delimiter):
            after += _LAST_CHARACTER
        with self._told(prefix):
            found = self._client.list_objects_v2(
                Bucket=self._there, Prefix=prefix, Delimiter=delimiter, StartAfter=after, MaxKeys=limit
            )
        objects = [
            Stored(self._bucket, one["Key"], one["Size"], one["ETag"].strip('"'), one["LastModified"])
            for one in found.get("Contents", ())
        ]
        prefixes = [one["Prefix"] for one in found.get("CommonPrefixes", ())]
        last = max([*(one.key for one in objects), *prefixes], key=str.encode, default="")
        return Page(tuple(objects), tuple(prefixes), last if found["IsTruncated"] else None)

    def delete(self, uri: str) -> None:
        key = parse_object(uri).key
        with self._told(key):
            self._client.delete_object(Bucket=self._there, Key=key)

    def copy(self, source: str, target: str) -> Stored:
        """The bytes stay there."""
        key, to = parse_object(source).key, parse_object(target).key
        with self._told(key):
            self._transfers.copy({"Bucket": self._there, "Key": key}, self._there, to).result()
        return self.head(target)

    def _chunks(self, key: str, body: Any) -> Iterator[bytes]:
        with self._told(key):
            yield from body.iter_chunks(CHUNK_BYTES)

    def _stored(self, key: str, found: Mapping[str, Any], size: int) -> Stored:
        headers = {name: found[member] for member, name in _HEADERS.items() if member in found}
        return Stored(
            self._bucket, key, size, found["ETag"].strip('"'), found["LastModified"], headers, found["Metadata"]
        )

    @contextmanager
    def _told(self, key: str) -> Iterator[None]:
        """What the client raises, as errors of this place: by the name of the bucket here, and nothing of where it is."""
        try:
            yield
        except ClientError as problem:
            error = problem.response["Error"]
            raise self._named(_CODES.get(error["Code"], error["Code"]), error.get("Message", ""), key) from None
        except (BotoCoreError, HTTPClientError) as problem:
            raise _unreachable(self._bucket, problem) from None

    def _named(self, code: str, message: str, key: str) -> ObjectsError:
        if code == "NoSuchBucket" or (code == "NoSuchKey" and not self._is_there()):
            return no_such_bucket(self._bucket)
        return no_such_key(key) if code == "NoSuchKey" else ObjectsError(code, message)

    def _is_there(self) -> bool:
        try:
            self._client.head_bucket(Bucket=self._there)
        except (ClientError, BotoCoreError, HTTPClientError) as problem:
            response: Mapping[str, Any] = getattr(problem, "response", {})
            return bool(response.get("Error", {}).get("Code") != "404")
        return True


class _Pieces:
    """What the transfer manager reads from: an iterable as a file that cannot go back."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._left = bytearray()

    def read(self, size: int = -1) -> bytes:
        while size < 0 or len(self._left) < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._left += piece
        end = len(self._left) if size < 0 else size
        taken = bytes(self._left[:end])
        del self._left[:end]
        return taken


def _unreachable(bucket: str, problem: Exception) -> ObjectsError:
    logger.warning("The S3 that has the bucket %s: %s", bucket, problem)
    return ObjectsError(
        "ServiceUnavailable", f"The storage of the bucket {bucket} cannot be reached. Please try again."
    )


def _nothing() -> None:
    """There is nothing to close."""
