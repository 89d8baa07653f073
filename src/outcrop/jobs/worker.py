"""A job's own process: `python -m outcrop.jobs.worker FD`, what to do as JSON on standard input.

It speaks to its server over the socket FD, a JSON value a line, and ends with all its children when that ends, which is
when the server ends, however that happens. It has no way to the database.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from outcrop.jobs.work import Lost, Outcome, Work

BEATS_PER_LEASE = 8


class SocketChannel:
    """The one socket, written to by any thread and read by one of its own."""

    def __init__(self, connection: socket.socket, stopping: bool) -> None:
        self._connection = connection
        self._writing = threading.Lock()
        self._kept = threading.Semaphore(0)
        self._stopping = threading.Event()
        if stopping:
            self._stopping.set()
        threading.Thread(target=self._listen, daemon=True).start()

    def tell(self, message: Mapping[str, Any]) -> None:
        line = orjson.dumps(message) + b"\n"
        try:
            with self._writing:
                self._connection.sendall(line)
        except OSError:
            raise Lost from None

    def ask(self, message: Mapping[str, Any]) -> None:
        """Waits for as long as it takes: who is refused is killed."""
        self.tell(message)
        self._kept.acquire()

    def stopping(self) -> bool:
        return self._stopping.is_set()

    def beat(self, seconds: float) -> None:
        while True:
            time.sleep(seconds)
            with contextlib.suppress(Lost):
                self.tell({"type": "beat"})

    def _listen(self) -> None:
        with contextlib.suppress(OSError), self._connection.makefile("rb") as lines:
            for line in lines:
                match orjson.loads(line)["type"]:
                    case "kept":
                        self._kept.release()
                    case "stop":
                        self._stopping.set()
        os.killpg(0, signal.SIGKILL)


def main() -> None:
    given = orjson.loads(sys.stdin.buffer.read())
    # Answers to people who wait come before jobs.
    os.nice(5)
    channel = SocketChannel(socket.socket(fileno=int(sys.argv[1])), given["stopping"])
    threading.Thread(target=channel.beat, args=(given["lease"] / BEATS_PER_LEASE,), daemon=True).start()
    place = {"account": given["account"], "region": given["region"]}
    work = Work(given["id"], given["input"], given["state"], given["attempt"], channel, **place)
    message = _outcome(given["run"], work)
    with contextlib.suppress(Lost):
        work.flush()
        channel.tell(message)
        # The server ends this process once it has written that down.
        threading.Event().wait()


def function(name: str) -> Callable[[Work], Outcome]:
    """`module:function`, imported."""
    module, _, attribute = name.partition(":")
    found: Callable[[Work], Outcome] = getattr(importlib.import_module(module), attribute)
    return found


def _outcome(run: str, work: Work) -> dict[str, Any]:
    try:
        outcome = function(run)(work)
        if not isinstance(outcome, Outcome):
            raise TypeError(f"{run} returned {type(outcome).__name__} and no Outcome")
        message = {"type": "outcome", "status": outcome.status, "result": outcome.result, "reason": outcome.reason}
        orjson.dumps(message)
    except Lost:
        os._exit(0)
    except Exception as problem:
        traceback.print_exc()
        return {"type": "crash", "problem": f"it raised {type(problem).__name__}: {problem}".partition("\n")[0]}
    return message


if __name__ == "__main__":
    main()
