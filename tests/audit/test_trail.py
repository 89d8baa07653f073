"""The trail: whatever is done to its files is found and named."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest

from outcrop.audit import digests
from outcrop.audit.record import Event
from outcrop.audit.trail import HEAD, Trail, digests_of, logs_of
from outcrop.audit.verify import verify
from outcrop.identity.caller import Caller
from outcrop.store.keyfile import Vault

START = datetime(2026, 11, 25, 10, 59, 0, tzinfo=UTC)
CALLER = Caller("111122223333", "arn:aws:iam::111122223333:user/admin", "AIDA", "AKIA", "sigv4", "us-east-1")


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def event(clock: Clock, name: str = "Converse", **changes: object) -> Event:
    members = {
        "service": "bedrock", "name": name, "time": clock.now, "region": "us-east-1", "request_id": "r",
        "address": "127.0.0.1", "agent": "test", "caller": CALLER, "error": None, "labels": {"modelId": "a%3A0"},
    }  # fmt: skip
    return Event(**{**members, **changes})  # type: ignore[arg-type]  # members of an event


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return Vault.open(tmp_path_factory.mktemp("vault"))


@pytest.fixture
def folder(tmp_path: Path, written: Path) -> Path:
    """A copy of the same trail for each test."""
    return Path(shutil.copytree(written, tmp_path / "audit"))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, vault: Vault) -> Path:
    """Three hours of ten records, the last of them not over, with digests of the first two."""
    clock = Clock()
    folder = tmp_path_factory.mktemp("trail") / "audit"
    trail = Trail(folder, vault, clock)
    for _ in range(3):
        for n in range(10):
            trail.write(event(clock, f"Operation{n}"))
        clock.now += timedelta(hours=1)
        if clock.now < START + timedelta(hours=3):
            trail.digest()
    trail.close()
    return folder


def problems(folder: Path, vault: Vault) -> list[str]:
    return [f"{finding.file}: {finding.problem}" for finding in verify(folder, vault).findings]


def test_nothing_is_found_where_nothing_was_done(folder: Path, vault: Vault) -> None:
    report = verify(folder, vault)
    assert (report.records, report.files, report.digests, report.findings) == (30, 3, 2, ())


def test_a_record(folder: Path) -> None:
    first = orjson.loads(logs_of(folder)[0].read_bytes().split(b"\n")[0])
    assert first["eventName"] == "Operation0"
    assert first["eventTime"] == "2026-11-25T10:59:00Z"
    assert first["eventSource"] == "bedrock.amazonaws.com"
    assert first["userIdentity"] == {
        "type": "IAMUser", "principalId": "AIDA", "arn": CALLER.arn, "accountId": "111122223333",
        "accessKeyId": "AKIA", "userName": "admin",
    }  # fmt: skip
    assert first["requestParameters"] == {"modelId": "a:0"}
    assert first["sequence"] == 1


def test_a_digest_is_as_openssl_would_check_it(folder: Path, vault: Vault) -> None:
    """The public key that lies there for anybody says the same as the one under the vault's."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    public = load_pem_public_key((folder / digests.PUBLIC).read_bytes())
    assert isinstance(public, RSAPublicKey)
    first, second = (digests.read(path) for path in digests_of(folder))
    assert digests.is_signed(public, first)
    assert digests.is_signed(public, second)
    assert first.members["previousDigestFile"] is None
    assert second.members["previousDigestHashValue"] == first.hash
    assert second.members["previousDigestSignature"] == first.signature
    assert second.members["digestPublicKeyFingerprint"] == digests.fingerprint(public)


Lines = list[bytes]
Attack = Callable[[Lines], Lines]


def edited(lines: Lines) -> Lines:
    return [*lines[:3], lines[3].replace(b"Operation3", b"Operation7"), *lines[4:]]


def removed(lines: Lines) -> Lines:
    return [*lines[:3], *lines[4:]]


def swapped(lines: Lines) -> Lines:
    return [*lines[:3], lines[4], lines[3], *lines[5:]]


def cut(lines: Lines) -> Lines:
    return lines[:7]


def repeated(lines: Lines) -> Lines:
    return [*lines[:4], lines[3], *lines[4:]]


def garbled(lines: Lines) -> Lines:
    return [*lines[:3], b"nonsense\n", *lines[4:]]


def renumbered(lines: Lines) -> Lines:
    """Somebody who knows the form, but not the key: a record is taken out and the rest numbered anew."""
    kept = [orjson.loads(line) for line in removed(lines)]
    return [orjson.dumps({**record, "sequence": n}) + b"\n" for n, record in enumerate(kept, 1)]


@pytest.mark.parametrize("hour", [0, 2], ids=["over", "current"])
@pytest.mark.parametrize(
    ("attack", "told"),
    [
        (edited, "record 4 was edited"),
        (removed, "record 4 was removed"),
        (swapped, "record 4 stands where it does not belong"),
        (cut, "cut short after record 7"),
        (repeated, "record 4 stands where it does not belong"),
        (garbled, "record 4 cannot be read: it was edited"),
        (renumbered, "record 4 was edited"),
    ],
)
def test_what_was_done_to_a_file(folder: Path, vault: Vault, hour: int, attack: Attack, told: str) -> None:
    log = logs_of(folder)[hour]
    log.write_bytes(b"".join(attack(log.read_bytes().splitlines(keepends=True))))
    found = problems(folder, vault)
    assert any(told in problem for problem in found), found
    assert all(str(log.relative_to(folder)) in problem for problem in found)


@pytest.mark.parametrize("hour", [0, 1, 2])
def test_a_file_that_is_gone(folder: Path, vault: Vault, hour: int) -> None:
    log = logs_of(folder)[hour]
    log.unlink()
    assert any("with 10 records is missing" in problem for problem in problems(folder, vault))


def test_a_digest_that_was_changed_or_is_gone(folder: Path, vault: Vault) -> None:
    first, second = digests_of(folder)
    kept = first.read_bytes()
    first.write_bytes(kept.replace(b'"records": 10', b'"records": 11'))
    found = problems(folder, vault)
    assert any("signature is not its own" in problem for problem in found)
    assert any("was removed or edited" in problem for problem in found)
    first.unlink()
    assert [p for p in problems(folder, vault) if "was removed or edited" in p and second.name in p]
    first.write_bytes(kept)
    assert not problems(folder, vault)


def test_the_note_of_the_newest_record(folder: Path, vault: Vault) -> None:
    head = folder / HEAD
    kept = head.read_bytes()
    head.write_bytes(kept.replace(b'"records":10', b'"records":3'))
    assert any("note of the newest record was changed" in problem for problem in problems(folder, vault))
    head.unlink()
    assert any("note of the newest record is missing" in problem for problem in problems(folder, vault))


@pytest.mark.parametrize("seed", range(40))
def test_any_byte_that_is_changed_is_found(folder: Path, vault: Vault, seed: int) -> None:
    choose = random.Random(seed)
    log = choose.choice(logs_of(folder))
    data = bytearray(log.read_bytes())
    place = choose.randrange(len(data))
    data[place] ^= choose.randrange(1, 256)
    log.write_bytes(bytes(data))
    assert problems(folder, vault)


def test_it_goes_on_after_a_restart_and_drops_what_a_crash_cut_off(tmp_path: Path, vault: Vault) -> None:
    clock = Clock()
    for _ in range(3):
        trail = Trail(tmp_path / "audit", vault, clock)
        trail.write(event(clock))
        trail.close()
        (log,) = logs_of(tmp_path / "audit")
        with log.open("ab") as file:
            file.write(b'{"eventVersion":"1.11","userIdent')
    trail = Trail(tmp_path / "audit", vault, clock)
    trail.write(event(clock))
    trail.close()
    report = verify(tmp_path / "audit", vault)
    assert (report.records, report.findings) == (4, ())


def test_a_call_that_was_slow_to_arrive_opens_no_hour_that_is_over(tmp_path: Path, vault: Vault) -> None:
    clock = Clock()
    trail = Trail(tmp_path / "audit", vault, clock)
    trail.write(event(clock))
    late = event(clock, "Late")
    clock.now += timedelta(hours=1)
    trail.digest()
    trail.write(late)
    trail.write(event(clock))
    trail.close()
    report = verify(tmp_path / "audit", vault)
    assert (report.records, report.files, report.digests, report.findings) == (3, 2, 1, ())


def test_hours_that_were_over_while_no_server_ran_get_their_digests(tmp_path: Path, vault: Vault) -> None:
    clock = Clock()
    trail = Trail(tmp_path / "audit", vault, clock)
    trail.write(event(clock))
    trail.close()
    clock.now += timedelta(days=2)
    trail = Trail(tmp_path / "audit", vault, clock)
    trail.write(event(clock))
    trail.digest()
    trail.close()
    report = verify(tmp_path / "audit", vault)
    assert (report.digests, report.findings) == (1, ())
