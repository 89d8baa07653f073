"""Copies of objects: the same files under other names where that can be, and encrypted as the copy is to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from outcrop.encryption.keys import Key
from outcrop.objects.errors import no_such_key
from outcrop.objects.local.rows import Described, Found, Part
from outcrop.objects.local.sealing import without_encryption
from outcrop.objects.local.store import Condition, LocalStore, whatever
from outcrop.objects.objects import CHUNK_BYTES, Stored


def copy(
    store: LocalStore,
    source: Found,
    bucket: str,
    key: str,
    described: Described | None = None,
    condition: Condition = whatever,
    encryption: Mapping[str, str] | None = None,
) -> Stored:
    """The same bytes under another name; with other headers and metadata if they are given.

    How the source is encrypted is not copied: the copy is, as `encryption` says, or as anything else in its bucket.
    """
    there, now = source.stored, store.clock()
    kept = described or Described(there.headers, there.metadata)
    kept = Described({**without_encryption(kept.headers), **(encryption or {})}, kept.metadata)
    store.check_writable(bucket)
    if store.is_folder(there.bucket):
        return _copy_in(store, source, bucket, key, kept, condition)
    place = store.bucket(bucket)
    sealed = store.sealing.is_wanted(kept.headers) or any(part.sealed for part in source.parts)
    headers = store.sealing.headers(place, kept.headers)
    under = store.sealing.key(place, headers) if sealed else None
    stored = Stored(bucket, key, there.size, there.etag, now, headers, kept.metadata, there.checksum)
    parts: list[Part] = []
    try:
        # One by one, so that those that were made are known when one fails.
        parts.extend(
            replace(_copied(store, there.bucket, part, bucket, under), modified_at=now) for part in source.parts
        )
    except FileNotFoundError:
        store.blobs.remove(bucket, [part.blob for part in parts])
        raise no_such_key(there.key) from None
    store.write(stored, parts, condition)
    return stored


def _copied(store: LocalStore, bucket: str, part: Part, target: str, key: Key | None) -> Part:
    """A file of the same bytes, encrypted under `key`: only the data key changes, unless it was plain."""
    if key is None:
        return replace(part, blob=store.blobs.duplicate(bucket, part.blob, target))
    if part.sealed is not None:
        # Whether it opens, before there is a second file.
        store.sealing.data_key(part)
        blob = store.blobs.duplicate(bucket, part.blob, target)
        return replace(part, blob=blob, sealed=store.sealing.rewrapped(part, blob, key))
    draft = store.blobs.draft(sealed=True)
    try:
        with store.blobs.open(bucket, part.blob) as file:
            while chunk := file.read(CHUNK_BYTES):
                draft.write(chunk)
        sealed = store.sealing.wrapped_under(key, draft)
        return replace(part, blob=store.blobs.publish(target, draft), sealed=sealed)
    finally:
        draft.discard()


def _copy_in(
    store: LocalStore, source: Found, bucket: str, key: str, described: Described, condition: Condition
) -> Stored:
    """From a folder, whose files may change under a link."""
    draft = store.draft(described.headers)
    try:
        with store.reading(source, 0, source.stored.size) as reading:
            for chunk in reading:
                draft.write(chunk)
        return store.publish(bucket, key, draft, described, condition=condition)
    finally:
        draft.discard()
