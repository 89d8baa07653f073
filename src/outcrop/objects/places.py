"""Where buckets are: in the data folder, unless the settings put them in a folder of the operator's or in another S3."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from outcrop.encryption.keys import attached
from outcrop.objects.errors import access_denied
from outcrop.objects.joined import JoinedObjects
from outcrop.objects.local.folders import Folder
from outcrop.objects.local.objects import LocalObjects
from outcrop.objects.local.store import LocalStore
from outcrop.settings import SettingsError, is_on_this_machine

if TYPE_CHECKING:
    from outcrop.objects.objects import Objects
    from outcrop.settings import ElsewhereSpec, Settings
    from outcrop.store.database import Database


class Places:
    """Made once for a process. SettingsError if the settings name what must not or cannot be."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        home: Path,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._owner = _first_account(database)
        self.keys = attached(settings, database, home)
        self.store = LocalStore(database, home / "objects", clock, self._folders(), self.keys)
        self._elsewhere: dict[str, Objects] = {}
        _check("[objects]", settings.objects, settings)
        for name, spec in settings.objects.buckets.items():
            _check(f"[objects.buckets.{name}]", spec, settings)

    def of(self, account: str) -> Objects:
        """What rooms get, for the account that they work for."""
        return JoinedObjects(lambda bucket: self._place(bucket, account))

    def endpoint(self, bucket: str) -> str | None:
        """The address of the other S3 that has the bucket; None if it is here."""
        spec = self._spec(bucket)
        return None if spec is None else spec.endpoint

    def _place(self, bucket: str, account: str) -> Objects:
        spec = self._spec(bucket)
        if spec is None:
            return LocalObjects(self.store, account)
        if account != (spec.account or self._owner):
            raise access_denied()
        found = self._elsewhere.get(bucket)
        if found is None:
            from outcrop.objects.elsewhere import connect

            found = self._elsewhere[bucket] = connect(spec, bucket)
        return found

    def _spec(self, bucket: str) -> ElsewhereSpec | None:
        objects = self._settings.objects
        spec: ElsewhereSpec = objects.buckets.get(bucket, objects)
        return None if spec.endpoint is None else spec

    def _folders(self) -> Mapping[str, Folder]:
        found = {}
        for name, spec in self._settings.objects.buckets.items():
            if spec.folder is not None:
                path = Path(spec.folder).expanduser()
                if not path.is_dir():
                    raise SettingsError(f"The folder {path} of [objects.buckets.{name}] does not exist.")
                found[name] = Folder(path, name, spec.account or self._owner)
        return found


def _check(where: str, spec: ElsewhereSpec, settings: Settings) -> None:
    if spec.endpoint is None:
        return
    if settings.network == "none" and (spec.endpoint == "aws" or not is_on_this_machine(spec.endpoint)):
        raise SettingsError(f'network is "none", and the endpoint of {where} is not on this machine.')
    if find_spec("s3transfer") is None:
        raise SettingsError(f"The endpoint of {where} needs a package more: pip install 'outcrop[s3]'")
    for variable in (spec.access_key_env, spec.secret_key_env):
        if variable is not None and not os.environ.get(variable):
            raise SettingsError(f"{where} takes its key from {variable}, which is not set in the environment.")


def _first_account(database: Database) -> str:
    row = database.one("SELECT id FROM accounts ORDER BY created_at, id LIMIT 1")
    return "" if row is None else row["id"]
