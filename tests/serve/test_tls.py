"""The local authority: made once, kept private, right for its host."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from outcrop.serve import tls


def names(chain: Path) -> list[str]:
    certificate = x509.load_pem_x509_certificates(chain.read_bytes())[0]
    extension = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    assert isinstance(extension, x509.SubjectAlternativeName)
    return [str(name.value) for name in extension]


def test_made_once_and_kept(tmp_path: Path) -> None:
    first = tls.ensure(tmp_path, "127.0.0.1")
    authority = first.ca.read_bytes()
    again = tls.ensure(tmp_path, "127.0.0.1")
    assert again.ca.read_bytes() == authority
    assert {"127.0.0.1", "localhost"} <= set(names(first.chain))


@pytest.mark.parametrize("host", ["10.1.2.3", "bedrock.example.com", "::1"])
def test_the_host_is_in_the_certificate_of_the_same_authority(tmp_path: Path, host: str) -> None:
    authority = tls.ensure(tmp_path, "127.0.0.1").ca.read_bytes()
    made = tls.ensure(tmp_path, host)
    assert host in names(made.chain)
    assert made.ca.read_bytes() == authority


def test_private_keys_are_private(tmp_path: Path) -> None:
    made = tls.ensure(tmp_path, "127.0.0.1")
    keys = [path for path in tmp_path.rglob("*") if path.is_file() and b"PRIVATE KEY" in path.read_bytes()]
    assert made.key in keys
    assert len(keys) >= 2
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in keys)
