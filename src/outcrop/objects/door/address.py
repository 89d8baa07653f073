"""Which requests are for S3, and what bucket and key they name.

The service name in the signature's scope decides the first, so that no bucket's name can collide with a path of Bedrock's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from urllib.parse import unquote_to_bytes

from outcrop.objects.errors import ObjectsError

_SCOPE = b"/s3/aws4_request"


def is_for_s3(headers: Iterable[tuple[bytes, bytes]], query: bytes) -> bool:
    """`headers` are ASGI's, with lower-case names."""
    for name, value in headers:
        if name == b"authorization":
            return value.startswith(b"AWS ") or (value.startswith(b"AWS4-") and _SCOPE in value.partition(b",")[0])
    if b"X-Amz-Credential=" in query:
        return any(
            part.startswith(b"X-Amz-Credential=") and unquote_to_bytes(part).endswith(_SCOPE)
            for part in query.split(b"&")
        )
    # The older form of presigned URLs, which boto3 still makes for several regions, is S3's alone.
    return b"AWSAccessKeyId=" in query and b"Signature=" in query and b"Expires=" in query


def bucket_of_host(host: str, hosts: Collection[str]) -> str | None:
    """The bucket in front of one of our own names: `photos.localhost:8484`. None where the path names it."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    for own in hosts:
        if name.endswith(f".{own}"):
            return name.removesuffix(f".{own}")
    return None


def bucket_and_key(raw_path: str, host_bucket: str | None) -> tuple[str, str]:
    """Decoded once; empty where the path does not name them. InvalidURI if they are no UTF-8."""
    path = raw_path.removeprefix("/")
    bucket, _, key = (host_bucket, "", path) if host_bucket is not None else path.partition("/")
    return _decoded(bucket), _decoded(key)


def _decoded(text: str) -> str:
    try:
        return unquote_to_bytes(text.encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise ObjectsError("InvalidURI", "Couldn't parse the specified URI.") from None
