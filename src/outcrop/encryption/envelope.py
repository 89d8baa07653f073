"""The envelope: a random data key for each value or file, wrapped under a version of an account's key. AES-256-GCM both.

As text: `sealed1.KEY.VERSION.WRAPPED`, and of a value `.CONTENT` behind it, both base64url. What is wrapped is bound to the
key, its version and the place where it stands, so that it opens nowhere else.
"""

from __future__ import annotations

import base64
import binascii
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from outcrop.store.seals import MARK, Damaged

KEY_BYTES = 32
NONCE_BYTES = 12


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A data key under a version of a key, and the content of a value behind it; none of a file's."""

    key_id: str
    version: int
    wrapped: bytes
    content: bytes | None = None

    def __str__(self) -> str:
        content = "" if self.content is None else f".{_text(self.content)}"
        return f"{prefix(self.key_id, self.version)}{_text(self.wrapped)}{content}"


def prefix(key_id: str, version: int) -> str:
    """What everything under that version of the key begins with."""
    return f"{MARK}{key_id}.{version}."


def parsed(text: str, place: str) -> Wrapped:
    """Damaged for what is no envelope."""
    try:
        key_id, version, wrapped, *content = text.removeprefix(MARK).split(".")
        return Wrapped(key_id, int(version), _bytes(wrapped), _bytes(*content) if content else None)
    except (ValueError, TypeError, binascii.Error):
        raise damaged(place) from None


def wrap(cipher: AESGCM, key_id: str, version: int, data_key: bytes, place: str) -> Wrapped:
    return Wrapped(key_id, version, encrypted(cipher, data_key, _bound(key_id, version, place)))


def unwrap(cipher: AESGCM, envelope: Wrapped, place: str) -> bytes:
    """The data key. Damaged if it was altered, or stands where it was not put."""
    return decrypted(cipher, envelope.wrapped, _bound(envelope.key_id, envelope.version, place), place)


def encrypted(cipher: AESGCM, plain: bytes, associated: str) -> bytes:
    """Nonce and ciphertext."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, plain, associated.encode())


def decrypted(cipher: AESGCM, blob: bytes, associated: str, place: str) -> bytes:
    try:
        return cipher.decrypt(blob[:NONCE_BYTES], blob[NONCE_BYTES:], associated.encode())
    except (InvalidTag, ValueError):
        raise damaged(place) from None


def damaged(place: str) -> Damaged:
    return Damaged(f"What is stored in {place} was altered or moved: it cannot be decrypted.")


def _bound(key_id: str, version: int, place: str) -> str:
    return f"outcrop {key_id} {version} {place}"


def _text(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, altchars=b"-_", validate=True)
