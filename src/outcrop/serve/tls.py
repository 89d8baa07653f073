"""A local certificate authority, so that clients which insist on HTTPS (API keys in boto3, HTTP/2 in some SDKs) work at once.

Made on first use under `$OUTCROP_HOME/tls`: `ca.pem` goes to clients (AWS_CA_BUNDLE, NODE_EXTRA_CA_CERTS), the keys stay with mode 600.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_DAYS = 3650
# Clients such as Apple's refuse server certificates that live longer than 825 days.
SERVER_DAYS = 397
RENEW_BEFORE = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Certificate:
    """Paths of PEM files; `key` is PKCS#8, the only form granian reads."""

    ca: Path
    chain: Path
    key: Path


def ensure(folder: Path, host: str) -> Certificate:
    """The certificate for localhost and `host`, made or renewed where needed; the authority is made only once."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    paths = Certificate(ca=folder / "ca.pem", chain=folder / "server.pem", key=folder / "server.key")
    authority_key_path = folder / "ca.key"
    if not (paths.ca.exists() and authority_key_path.exists()):
        _make_authority(paths.ca, authority_key_path)
        paths.chain.unlink(missing_ok=True)
    names = _names(host)
    if not _still_good(paths, names):
        _make_server(paths, authority_key_path, names)
    return paths


def _names(host: str) -> list[str]:
    names = ["localhost", "127.0.0.1", "::1", socket.gethostname()]
    if host not in ("0.0.0.0", "::", *names):  # noqa: S104 - compared with, not bound to
        names.append(host)
    return names


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _still_good(paths: Certificate, names: list[str]) -> bool:
    if not (paths.chain.exists() and paths.key.exists()):
        return False
    certificate = x509.load_pem_x509_certificate(paths.chain.read_bytes())
    held = set(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    fresh = certificate.not_valid_after_utc - RENEW_BEFORE > datetime.now(UTC)
    return fresh and {_general_name(name) for name in names} <= held


def _make_authority(path: Path, key_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Outcrop local authority")])
    certificate = (
        _builder(subject, subject, key.public_key(), CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(sign_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(key_path, _pem(key), 0o600)
    _write(path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _make_server(paths: Certificate, authority_key_path: Path, names: list[str]) -> None:
    authority = x509.load_pem_x509_certificate(paths.ca.read_bytes())
    authority_key = serialization.load_pem_private_key(authority_key_path.read_bytes(), password=None)
    if not isinstance(authority_key, ec.EllipticCurvePrivateKey):
        raise ValueError(
            f"{authority_key_path} does not hold the key that Outcrop made; remove the folder to start anew."
        )
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "outcrop")])
    certificate = (
        _builder(subject, authority.subject, key.public_key(), SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(sign_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    _write(paths.key, _pem(key), 0o600)
    _write(paths.chain, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=days))
    )


def _key_usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, data: bytes, mode: int) -> None:
    """Whole or not at all, and never readable by others for a moment."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
