"""The files of all custom and imported models of one moment, held for a backup while the server writes on.

They never change, but go with their model: so each gets a second name first, which costs nothing where the disk can link.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from outcrop.models.custom import FOLDER
from outcrop.store.bundle import File, opened
from outcrop.store.connection import Connection
from outcrop.store.ids import LOWER_DIGITS, new_id

# No model's id has a dash.
PREFIX = "_backup-"
OLD_SECONDS = 24 * 3600.0


class HeldModels:
    """`folder` is that of the models. `absent`: how many models have no files here."""

    name = FOLDER

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held = folder / f"{PREFIX}{new_id(12, LOWER_DIGITS)}"
        self.absent = 0

    def hold(self, connection: Connection) -> bool:
        """What another server has, or was deleted between these rows and now, is absent."""
        rows = connection.query("SELECT id FROM custom_models WHERE status = 'Active'", ())
        self.absent = sum(not self._link(row["id"]) for row in rows)
        return True

    def files(self) -> Iterator[File]:
        for path in sorted(self._held.rglob("*")):
            if path.is_file():
                yield File(path.relative_to(self._held).as_posix(), path.stat().st_size, partial(opened, path))

    def release(self) -> None:
        shutil.rmtree(self._held, ignore_errors=True)

    def _link(self, model_id: str) -> bool:
        source, target = self._folder / model_id, self._held / model_id
        if target.exists():
            return True
        try:
            shutil.copytree(source, target, copy_function=_linked)
        except (FileNotFoundError, shutil.Error):
            shutil.rmtree(target, ignore_errors=True)
            return False
        return True


def sweep(folder: Path) -> None:
    """What killed backups have left behind."""
    for held in folder.glob(f"{PREFIX}*"):
        if time.time() - held.stat().st_mtime > OLD_SECONDS:
            shutil.rmtree(held, ignore_errors=True)


def _linked(source: str, target: str) -> None:
    try:
        Path(target).hardlink_to(source)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)
