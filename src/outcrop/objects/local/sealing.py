"""Encryption of objects: which key, what S3 says of it in headers, and the data keys of files, which stand in their rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from outcrop.encryption.keys import Disabled, Key, Keys, NoSuchKey
from outcrop.objects.errors import ObjectsError, not_implemented
from outcrop.objects.local.blobs import Draft
from outcrop.objects.local.rows import Bucket, Part
from outcrop.store.seals import Damaged

# How an object is encrypted is kept with its headers, and comes back with them, as in S3.
METHOD = "x-amz-server-side-encryption"
KEY = f"{METHOD}-aws-kms-key-id"
BUCKET_KEY = f"{METHOD}-bucket-key-enabled"
OWN, NAMED = "AES256", "aws:kms"


class Sealing:
    """Without `keys` nothing is encrypted."""

    def __init__(self, keys: Keys | None) -> None:
        self.keys = keys

    def is_wanted(self, headers: Mapping[str, str]) -> bool:
        """Whether what is put with these headers is to be encrypted."""
        return METHOD in headers or (self.keys is not None and self.keys.enabled)

    def key(self, bucket: Bucket, headers: Mapping[str, str]) -> Key:
        """The one that the headers name, or the bucket owner's own. ObjectsError if it cannot be used."""
        if self.keys is None:
            raise not_implemented("Encryption")
        with told():
            named = headers.get(KEY)
            if named is None:
                found = self.keys.default(bucket.account, bucket.region)
            else:
                found = self.keys.find(bucket.account, bucket.region, named)
            found.check()
        return found

    def headers(self, bucket: Bucket, headers: Mapping[str, str]) -> Mapping[str, str]:
        """With what S3 tells of the encryption: the method, and of a key that is named its ARN."""
        if not self.is_wanted(headers):
            return headers
        if headers.get(METHOD, OWN) == OWN:
            return {**headers, METHOD: OWN}
        return {**headers, KEY: self.key(bucket, headers).arn}

    def wrapped(self, draft: Draft, bucket: Bucket, headers: Mapping[str, str]) -> str | None:
        """The draft's data key for its row; None for a plain one."""
        return None if draft.key is None else self.wrapped_under(self.key(bucket, headers), draft)

    def wrapped_under(self, key: Key, draft: Draft) -> str:
        assert draft.key is not None
        assert self.keys is not None
        with told():
            return self.keys.wrapped(key, draft.key, place(draft.name))

    def rewrapped(self, part: Part, blob: str, key: Key) -> str:
        """The data key of a part for another file of the same bytes."""
        assert part.sealed is not None
        assert self.keys is not None
        with told():
            return self.keys.rewrapped(part.sealed, place(part.blob), key, place(blob))

    def data_key(self, part: Part) -> bytes | None:
        if part.sealed is None:
            return None
        if self.keys is None:
            raise ObjectsError("InternalError", "The object is encrypted, and there is no key to open it with.")
        with told():
            return self.keys.unwrapped(part.sealed, place(part.blob))


@contextmanager
def told() -> Iterator[None]:
    """What goes wrong with keys, in S3's codes."""
    try:
        yield
    except Disabled as problem:
        raise ObjectsError("KMS.DisabledException", problem.message) from None
    except NoSuchKey as problem:
        raise ObjectsError("KMS.NotFoundException", problem.message) from None
    except Damaged as problem:
        raise ObjectsError("InternalError", str(problem)) from None


def place(blob: str) -> str:
    """What a file's data key is bound to."""
    return f"object_parts {blob}"


def of_encryption(headers: Mapping[str, str]) -> dict[str, str]:
    """Those of the headers that tell of the encryption."""
    return {name: headers[name] for name in (METHOD, KEY, BUCKET_KEY) if name in headers}


def without_encryption(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in (METHOD, KEY, BUCKET_KEY)}
