"""Records on their way into objects: gathered for a moment, then written by a thread; never in an invocation's way.

A killed server loses what was gathered in that moment; the audit trail has every call in any case.
"""

from __future__ import annotations

import gzip
import logging
import secrets
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from outcrop.objects.errors import ObjectsError

if TYPE_CHECKING:
    from outcrop.objects.objects import Objects

SECONDS = 1.0
# Of records that wait; beyond it they are dropped, and that is said.
MOST_WAITING = 20_000

logger = logging.getLogger("outcrop.invocation_logs")


@dataclass(frozen=True, slots=True)
class Place:
    """`folder` is the hour's, as an s3:// URI."""

    account: str
    folder: str


class Delivery:
    """`objects` gives an account's; `clock` aware UTC times."""

    def __init__(self, objects: Callable[[str], Objects], clock: Callable[[], datetime]) -> None:
        self._objects = objects
        self._clock = clock
        self._lock = threading.Lock()
        self._records: defaultdict[Place, list[bytes]] = defaultdict(list)
        self._data: list[tuple[str, str, bytes, str]] = []
        self._waiting = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def record(self, place: Place, record: bytes, data: dict[str, tuple[bytes, str]]) -> None:
        """`data` are further objects by their URI, with their media type."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="invocation-logs", daemon=True)
                self._thread.start()
            if self._waiting >= MOST_WAITING:
                logger.error("Invocations of %s are not logged: too many wait to be written.", place.account)
                return
            self._waiting += 1
            self._records[place].append(record)
            self._data += [(place.account, uri, body, kind) for uri, (body, kind) in data.items()]

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(30)
        self.flush()

    def _run(self) -> None:
        while not self._stop.wait(SECONDS):
            self.flush()

    def flush(self) -> None:
        """Write what has gathered. Blocking."""
        with self._lock:
            records, self._records = self._records, defaultdict(list)
            data, self._data = self._data, []
            self._waiting = 0
        for account, uri, body, kind in data:
            self._put(account, uri, body, kind)
        for place, lines in records.items():
            stamp = self._clock().strftime("%Y%m%dT%H%M%S%f")[:-3] + "Z"
            uri = f"{place.folder}/{stamp}_{secrets.token_hex(8)}.json.gz"
            self._put(place.account, uri, gzip.compress(b"\n".join(lines) + b"\n"), "application/gzip")

    def _put(self, account: str, uri: str, body: bytes, kind: str) -> None:
        """Whatever goes wrong is the operator's to know; invocations go on."""
        try:
            self._objects(account).put(uri, body, content_type=kind)
        except (ObjectsError, OSError) as problem:
            logger.error("%s could not be written: %s", uri, problem)
