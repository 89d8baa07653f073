"""Hourly digests, chained and signed after CloudTrail's scheme.

A digest names an hour's file with its SHA-256 and number of records, and the digest before it with its SHA-256 and
signature; the signature is SHA256withRSA over the digest's own end time, name, hash and its predecessor's signature.
Source: https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-log-file-custom-validation.html
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from outcrop.audit.chain import Link
from outcrop.store.keyfile import Vault

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

RSA_BITS = 2048
KEY, PUBLIC = "signing-key", "public-key.pem"
DIGEST, SIGNATURE = ".digest.json", ".digest.sig"


@dataclass(frozen=True, slots=True)
class Digest:
    """One that is on disk; `members` are its JSON."""

    path: Path
    data: bytes
    signature: str
    members: dict[str, Any]

    @property
    def hash(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def digest_of(log: Path) -> Path:
    return log.with_name(log.name.removesuffix(".jsonl") + DIGEST)


def read(path: Path) -> Digest:
    """OSError or ValueError if it is not there or is none."""
    data = path.read_bytes()
    signature = path.with_name(path.name.removesuffix(DIGEST) + SIGNATURE).read_text("ascii").strip()
    members = orjson.loads(data)
    if not isinstance(members, dict):
        raise ValueError("not a digest")
    return Digest(path, data, signature, members)


def compose(folder: Path, log: Path, link: Link, previous: Digest | None, fingerprint: str, ended: str) -> bytes:
    """The digest of an hour's file that is complete."""
    members = {
        "digestEndTime": ended,
        "digestFile": str(digest_of(log).relative_to(folder)),
        "digestPublicKeyFingerprint": fingerprint,
        "digestSignatureAlgorithm": "SHA256withRSA",
        "previousDigestFile": None if previous is None else str(previous.path.relative_to(folder)),
        "previousDigestHashValue": None if previous is None else previous.hash,
        "previousDigestHashAlgorithm": "SHA-256",
        "previousDigestSignature": None if previous is None else previous.signature,
        "logFiles": [
            {
                "file": str(log.relative_to(folder)),
                "hashValue": hashlib.sha256(log.read_bytes()).hexdigest(),
                "hashAlgorithm": "SHA-256",
                "records": link.count,
                "chain": link.code,
            }
        ],
    }
    return orjson.dumps(members, option=orjson.OPT_INDENT_2)


def signed_text(data: bytes) -> bytes:
    """What is signed of a digest: end time, name, hash, and the predecessor's signature."""
    members = orjson.loads(data)
    return "\n".join(
        [
            members["digestEndTime"],
            members["digestFile"],
            hashlib.sha256(data).hexdigest(),
            members["previousDigestSignature"] or "null",
        ]
    ).encode()


def sign(key: RSAPrivateKey, data: bytes) -> str:
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    return key.sign(signed_text(data), PKCS1v15(), SHA256()).hex()


def is_signed(key: RSAPublicKey, digest: Digest) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    try:
        key.verify(bytes.fromhex(digest.signature), signed_text(digest.data), PKCS1v15(), SHA256())
    except (InvalidSignature, ValueError, KeyError, AttributeError):
        return False
    return True


def signing_key(folder: Path, vault: Vault) -> RSAPrivateKey:
    """The server's own, made on first use; kept under the vault's key. Its public half lies beside it for anybody."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
        load_der_private_key,
    )

    path = folder / KEY
    if path.exists():
        return load_der_private_key(vault.decrypt(path.read_bytes(), KEY), None)  # type: ignore[return-value]  # made below
    key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    write(path, vault.encrypt(der, KEY))
    write(folder / PUBLIC, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return key


def fingerprint(key: RSAPrivateKey | RSAPublicKey) -> str:
    """SHA-256 of the public key's DER."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = key.public_key() if isinstance(key, RSAPrivateKey) else key
    return hashlib.sha256(public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def write(path: Path, data: bytes) -> None:
    """Whole or not at all."""
    import os

    aside = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
