"""`server.json` in the data folder: what a running server tells the commands beside it."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Announcement:
    """`ca` is the path of the authority's certificate where TLS is on; `models` the ids that the server has."""

    url: str
    ca: str | None
    pid: int
    models: tuple[str, ...]


@contextlib.contextmanager
def announced(folder: Path, announcement: Announcement) -> Iterator[None]:
    """There while the block runs. Another server that announced itself since is left alone."""
    path = folder / "server.json"
    path.write_text(json.dumps(asdict(announcement)))
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            if json.loads(path.read_text()).get("pid") == announcement.pid:
                path.unlink()


def running(folder: Path) -> Announcement | None:
    """What the running server announced; None if there is none, or it is gone without having tidied up."""
    try:
        found = json.loads((folder / "server.json").read_text("utf-8"))
        announcement = Announcement(found["url"], found["ca"], int(found["pid"]), tuple(found.get("models") or ()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    try:
        os.kill(announcement.pid, 0)
    except PermissionError:
        return announcement
    except OSError:
        return None
    return announcement
