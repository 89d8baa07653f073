from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from outcrop.store.keyfile import KeyFileError, Vault, _make


def test_the_key_is_made_once_and_only_the_owner_reads_it(tmp_path: Path) -> None:
    first = Vault.open(tmp_path)
    key = tmp_path / "key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(key.read_bytes()) == 32
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert Vault.open(tmp_path).subkey("x") == first.subkey("x")


def test_the_first_key_wins(tmp_path: Path) -> None:
    """As when another process makes it between our looking for it and our making it."""
    first = Vault.open(tmp_path)
    _make(tmp_path / "key", b"x" * 32)
    assert Vault.open(tmp_path).subkey("x") == first.subkey("x")
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    Vault.open(tmp_path)
    (tmp_path / "key").chmod(mode)
    with pytest.raises(KeyFileError, match=f"chmod 600 {tmp_path}/key"):
        Vault.open(tmp_path)


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_a_damaged_key_is_refused(tmp_path: Path, content: bytes) -> None:
    Vault.open(tmp_path)
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(KeyFileError, match="32 bytes"):
        Vault.open(tmp_path)


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from outcrop.store.keyfile import Vault; "
        "print(Vault.open(Path(sys.argv[1])).subkey('x').hex())"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
        for _ in range(6)
    ]
    keys = {process.communicate()[0] for process in processes}
    assert keys == {Vault.open(tmp_path).subkey("x").hex() + "\n"}


def test_what_is_encrypted_opens_for_the_same_record_only(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path)
    blob = vault.encrypt(b"canary", "record-1")
    assert b"canary" not in blob
    assert vault.decrypt(blob, "record-1") == b"canary"
    assert vault.encrypt(b"canary", "record-1") != blob
    for altered, record in ((blob, "record-2"), (blob[:-1] + bytes([blob[-1] ^ 1]), "record-1"), (b"", "record-1")):
        with pytest.raises(KeyFileError, match="cannot be decrypted"):
            vault.decrypt(altered, record)


def test_another_key_file_opens_nothing(tmp_path: Path) -> None:
    blob = Vault.open(tmp_path / "a").encrypt(b"canary", "record")
    with pytest.raises(KeyFileError, match="not the one"):
        Vault.open(tmp_path / "b").decrypt(blob, "record")


def test_subkeys_differ_by_purpose_and_from_the_key(tmp_path: Path) -> None:
    vault = Vault.open(tmp_path)
    keys = {vault.subkey("a"), vault.subkey("b"), (tmp_path / "key").read_bytes()}
    assert len(keys) == 3
    assert {len(key) for key in keys} == {32}
