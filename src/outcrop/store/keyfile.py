"""The server's one secret: 32 random bytes in a file that only its owner can read, and the keys derived from them."""

from __future__ import annotations

import os
import secrets
import stat
import time
from pathlib import Path

KEY_BYTES = 32
NONCE_BYTES = 12


class KeyFileError(Exception):
    """The key file cannot be trusted or does not fit the data; a sentence for the operator."""


class Vault:
    """Encrypts small secrets with AES-256-GCM. Make it with `Vault.open`."""

    def __init__(self, master: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self.master = master
        self._cipher = AESGCM(self.subkey("encryption"))

    @classmethod
    def open(cls, folder: Path) -> Vault:
        """Read `folder`/key, making it on first use. Raises KeyFileError if others could read it or it is damaged."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / "key"
        if not path.exists():
            _make(path, os.urandom(KEY_BYTES))
        return cls(_read(path))

    def encrypt(self, plain: bytes, associated: str) -> bytes:
        """Nonce and ciphertext; it opens again only with the same `associated` text (the record's id)."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, associated.encode())

    def decrypt(self, blob: bytes, associated: str) -> bytes:
        """Raises KeyFileError if `blob` was altered, moved to another record or made with another key."""
        from cryptography.exceptions import InvalidTag

        try:
            return self._cipher.decrypt(blob[:NONCE_BYTES], blob[NONCE_BYTES:], associated.encode())
        except (InvalidTag, ValueError):
            raise KeyFileError(
                f"The stored secret of {associated} cannot be decrypted: "
                "the key file is not the one it was encrypted with."
            ) from None

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that tell this key from others, and nothing about it."""
        return self.subkey("fingerprint")[:8].hex()

    def subkey(self, purpose: str) -> bytes:
        """32 bytes for one purpose, by HKDF-SHA256 (RFC 5869); knowing one says nothing about the others."""
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.kdf.hkdf import HKDF

        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=f"outcrop {purpose}".encode()).derive(
            self.master
        )


def place(folder: Path, key: bytes) -> None:
    """Make `key` the key of `folder`. Another one that is there is set aside, not lost: `key.before-...`."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "key"
    if path.exists():
        if path.read_bytes() == key:
            return
        path.rename(path.with_name(f"key.before-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}"))
    _make(path, key)


def _make(path: Path, key: bytes) -> None:
    """Written aside and linked into place, so that nobody reads half a key and the first of several makers wins."""
    aside = path.with_name(f".key-{secrets.token_hex(8)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(key)
            file.flush()
            os.fsync(file.fileno())
        os.link(aside, path)
        sync_folder(path.parent)
    except FileExistsError:
        pass
    finally:
        aside.unlink()


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        key = file.read(KEY_BYTES + 1)
    if mode & 0o077:
        raise KeyFileError(f"The key file {path} can be read by others (mode {mode:03o}). Run: chmod 600 {path}")
    if len(key) != KEY_BYTES:
        raise KeyFileError(
            f"The key file {path} is damaged: it must hold exactly {KEY_BYTES} bytes. Restore it from a backup."
        )
    return key
