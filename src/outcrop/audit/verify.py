"""Has anybody touched the trail? Every record that was edited, removed, moved or cut off is named."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from outcrop.audit import chain, digests
from outcrop.audit.chain import Link
from outcrop.audit.digests import Digest
from outcrop.audit.trail import digests_of, lines_of, logs_of, read_head
from outcrop.store.keyfile import Vault

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey


@dataclass(frozen=True, slots=True)
class Finding:
    file: str
    problem: str


@dataclass(frozen=True, slots=True)
class Report:
    records: int
    files: int
    digests: int
    findings: tuple[Finding, ...]


def verify(folder: Path, vault: Vault) -> Report:
    """Reads the whole trail. Blocking."""
    key = vault.subkey("audit")
    findings: list[Finding] = []
    ends: dict[str, Link] = {}
    for log in logs_of(folder):
        name = str(log.relative_to(folder))
        problems, ends[name] = _check_records(log, name, key)
        findings += [Finding(name, problem) for problem in problems]
    findings += _check_head(folder, key, ends)
    found = list(_check_digests(folder, vault, ends))
    records = sum(link.count for link in ends.values())
    return Report(records, len(ends), len(digests_of(folder)), (*findings, *found))


def _check_records(log: Path, name: str, key: bytes) -> tuple[list[str], Link]:
    """What is wrong with single records, and where the chain stands after the last that can be read."""
    problems: list[str] = []
    link = chain.start(name)
    trusted = True
    for number, text in enumerate(lines_of(log), 1):
        found = chain.follow(key, link, text) if trusted else None
        if found is not None and found[0][chain.SEQUENCE] == link.count + 1:
            link = found[1]
            continue
        read = _unchecked(text)
        if read is None:
            problems.append(f"line {number}: record {link.count + 1} cannot be read: it was edited")
            link, trusted = Link(link.count + 1, ""), False
            continue
        sequence, code = read
        if sequence > link.count + 1:
            problems.append(
                f"line {number}: {_records(link.count + 1, sequence - 1)} removed or moved before {sequence}"
            )
        elif sequence <= link.count:
            problems.append(
                f"line {number}: record {sequence} stands where it does not belong: it was moved or repeated"
            )
            continue
        elif trusted:
            problems.append(f"line {number}: record {sequence} was edited")
        # From here on each record is held to the code that the one before it carries.
        link, trusted = Link(sequence, code), True
    return problems, link


def _records(first: int, last: int) -> str:
    return f"record {first} was" if first == last else f"records {first} to {last} were"


def _unchecked(text: bytes) -> tuple[int, str] | None:
    """The number and the code that a line claims."""
    import orjson

    try:
        record = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(record, dict):
        return None
    sequence, code = record.get(chain.SEQUENCE), record.get(chain.CODE)
    return (sequence, code) if isinstance(sequence, int) and isinstance(code, str) else None


def _check_head(folder: Path, key: bytes, ends: dict[str, Link]) -> Iterator[Finding]:
    try:
        head = read_head(folder, key)
    except ValueError as problem:
        yield Finding("head", str(problem))
        return
    if head is None:
        if ends:
            yield Finding("head", "the note of the newest record is missing")
        return
    name, link = head
    if name not in ends:
        yield Finding(name, f"the file with {link.count} records is missing")
    elif ends[name].count < link.count:
        yield Finding(name, f"cut short after record {ends[name].count}: there were at least {link.count}")


def _check_digests(folder: Path, vault: Vault, ends: dict[str, Link]) -> Iterator[Finding]:
    public = _public_key(folder, vault)
    previous: Digest | None = None
    for path in digests_of(folder):
        name = str(path.relative_to(folder))
        try:
            digest = digests.read(path)
        except (OSError, ValueError):
            yield Finding(name, "the digest or its signature cannot be read")
            continue
        if public is None or not digests.is_signed(public, digest):
            yield Finding(name, "the digest's signature is not its own: it was edited")
        if digest.members.get("previousDigestHashValue") != (None if previous is None else previous.hash):
            missing = digest.members.get("previousDigestFile")
            yield Finding(name, f"the digest before it, {missing}, was removed or edited")
        yield from _check_files(folder, digest, ends)
        previous = digest


def _check_files(folder: Path, digest: Digest, ends: dict[str, Link]) -> Iterator[Finding]:
    for file in digest.members.get("logFiles", ()):
        name, records = file["file"], file["records"]
        if name not in ends:
            yield Finding(name, f"the file with {records} records is missing")
        elif ends[name].count < records:
            yield Finding(name, f"cut short after record {ends[name].count}: there were {records}")
        elif hashlib.sha256((folder / name).read_bytes()).hexdigest() != file["hashValue"]:
            yield Finding(name, "the file is not as it was when its hour ended")


def _public_key(folder: Path, vault: Vault) -> RSAPublicKey | None:
    """Of the private key under the vault's, not the one that lies there for anybody to change."""
    if not (folder / digests.KEY).exists():
        return None
    return digests.signing_key(folder, vault).public_key()
