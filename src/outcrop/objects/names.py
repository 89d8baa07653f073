"""Names of buckets and objects, and `s3://bucket/key`, which joins them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from outcrop.objects.errors import ObjectsError

MAX_KEY_BYTES = 1024

# S3's rules for new general purpose buckets, but for reserved beginnings and endings.
_BUCKET = re.compile(r"(?!\d+\.\d+\.\d+\.\d+$)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")


@dataclass(frozen=True, slots=True)
class Uri:
    """`key` is empty for a bucket's root, and may be a beginning of keys."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def parse(uri: str) -> Uri:
    """ObjectsError InvalidURI if `uri` is not `s3://BUCKET`, `s3://BUCKET/` or `s3://BUCKET/KEY`; InvalidBucketName, KeyTooLongError."""
    scheme, separator, rest = uri.partition("://")
    bucket, _, key = rest.partition("/")
    if scheme != "s3" or not separator:
        raise ObjectsError("InvalidURI", f"{uri[:200]} is not of the form s3://bucket/key.")
    check_bucket(bucket)
    if key:
        check_key(key)
    return Uri(bucket, key)


def parse_object(uri: str) -> Uri:
    """The same for the URI of an object, which has a key."""
    found = parse(uri)
    if not found.key:
        raise ObjectsError("InvalidURI", f"{uri[:200]} names a bucket, not an object: s3://bucket/key.")
    return found


def check_bucket(name: str) -> None:
    if not _BUCKET.fullmatch(name):
        raise ObjectsError("InvalidBucketName", "The specified bucket is not valid.", {"BucketName": name[:128]})


def check_key(key: str) -> None:
    if len(key_bytes(key)) > MAX_KEY_BYTES:
        raise ObjectsError("KeyTooLongError", "Your key is too long", {"MaxSizeAllowed": str(MAX_KEY_BYTES)})


def key_bytes(key: str) -> bytes:
    """Keys are ordered and measured by their UTF-8 bytes. InvalidURI for half a surrogate pair, which has none."""
    try:
        return key.encode()
    except UnicodeEncodeError:
        raise ObjectsError("InvalidURI", "Couldn't parse the specified URI.") from None
