"""Writing the trail: a file an hour, a record a line, a digest for each hour that is over.

A record is handed to the system before its call is answered, so that it survives a killed server; once a second it is
forced to disk, and a sealed note of where the chain stands is renewed, by which a file that was cut short is found out.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import orjson

from outcrop.audit import chain, digests
from outcrop.audit.chain import Link
from outcrop.audit.record import Event, members
from outcrop.store.keyfile import Vault

HEAD = "head"
SYNC_SECONDS = 1.0

logger = logging.getLogger("outcrop.audit")


def logs_of(folder: Path) -> list[Path]:
    """All hours' files, oldest first."""
    return sorted(folder.glob("[0-9]*/*/*/*.jsonl"))


def digests_of(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"[0-9]*/*/*/*{digests.DIGEST}"))


class Trail:
    """`folder` is made on first use; `clock` gives aware UTC times. Safe to use from several threads."""

    def __init__(self, folder: Path, vault: Vault, clock: Callable[[], datetime]) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._vault = vault
        self._key = vault.subkey("audit")
        self._clock = clock
        self._lock = threading.Lock()
        self._path: Path | None = None
        self._hour = -1
        self._descriptor = -1
        self._link = Link()
        self._synced = self._link
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="audit", daemon=True)
        self._thread.start()

    def write(self, event: Event) -> None:
        hour = int(event.time.timestamp() // 3600)
        with self._lock:
            # Neither a clock that goes back nor a call that was slow to arrive opens an hour again that is over.
            hour = max(hour, self._hour)
            if hour > self._hour or self._path is None:
                self._open(self._folder / file_of(hour))
                self._hour = hour
            data, self._link = chain.line(self._key, self._link, members(event))
            os.write(self._descriptor, data)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(10)
        with self._lock:
            self._sync()
            self._close()

    def _open(self, path: Path) -> None:
        """Begin an hour's file, or go on with it after a restart."""
        self._close()
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._link = _resumed(path, self._folder)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._path = path
        write_head(self._folder, self._key, path, self._link)

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _keep(self) -> None:
        """Once a second: to disk, and digests of hours that are over."""
        while not self._stop.wait(SYNC_SECONDS):
            try:
                with self._lock:
                    self._sync()
                self.digest()
            except OSError as problem:
                logger.error("The audit trail cannot be written: %s", problem)

    def _sync(self) -> None:
        if self._path is None or self._link == self._synced:
            return
        os.fsync(self._descriptor)
        write_head(self._folder, self._key, self._path, self._link)
        self._synced = self._link

    def digest(self) -> None:
        """Digests of all hours that are over and have none. Blocking."""
        now = self._clock()
        current = self._folder / now.strftime("%Y/%m/%d/%H.jsonl")
        due = [log for log in logs_of(self._folder) if log < current and not digests.digest_of(log).exists()]
        if not due:
            return
        with self._lock:
            if self._path is not None and self._path < current:
                self._sync()
                self._close()
                self._path = None
                self._hour += 1
        key = digests.signing_key(self._folder, self._vault)
        for log in due:
            earlier = [path for path in digests_of(self._folder) if path < digests.digest_of(log)]
            previous = digests.read(earlier[-1]) if earlier else None
            ended = now.strftime("%Y-%m-%dT%H:%M:%SZ")
            link = _resumed(log, self._folder)
            data = digests.compose(self._folder, log, link, previous, digests.fingerprint(key), ended)
            path = digests.digest_of(log)
            signature = path.with_name(path.name.removesuffix(digests.DIGEST) + digests.SIGNATURE)
            digests.write(signature, digests.sign(key, data).encode())
            digests.write(path, data)


def file_of(hour: int) -> str:
    """Of an hour counted from the epoch, in UTC."""
    return datetime.fromtimestamp(hour * 3600, UTC).strftime("%Y/%m/%d/%H.jsonl")


def lines_of(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file


def _resumed(path: Path, folder: Path) -> Link:
    """Where the chain of a file stands. A last line that a crash cut off is dropped: its call was never answered."""
    first = chain.start(str(path.relative_to(folder)))
    if not path.exists():
        return first
    whole = path.read_bytes()
    if whole and not whole.endswith(b"\n"):
        kept = whole.rfind(b"\n") + 1
        logger.warning("%s: a record that was cut off half-way is dropped", path.name)
        os.truncate(path, kept)
        whole = whole[:kept]
    if not whole:
        return first
    last = orjson.loads(whole[whole.rstrip(b"\n").rfind(b"\n") + 1 :])
    return Link(last[chain.SEQUENCE], last[chain.CODE])


def write_head(folder: Path, key: bytes, path: Path, link: Link) -> None:
    """How far the newest file had come, sealed."""
    text = orjson.dumps({"file": str(path.relative_to(folder)), "records": link.count, "chain": link.code})
    code = hmac.digest(key, b"head\n" + text, hashlib.sha256).hex()
    digests.write(folder / HEAD, text + b"\n" + code.encode())


def read_head(folder: Path, key: bytes) -> tuple[str, Link] | None:
    """The file and where its chain stood; None if there is no head, ValueError if it is not ours."""
    path = folder / HEAD
    if not path.exists():
        return None
    text, _, code = path.read_bytes().partition(b"\n")
    if not hmac.compare_digest(
        code.decode("ascii", "replace"), hmac.digest(key, b"head\n" + text, hashlib.sha256).hex()
    ):
        raise ValueError("the note of the newest record was changed")
    found = orjson.loads(text)
    return found["file"], Link(found["records"], found["chain"])
