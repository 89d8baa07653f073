"""Which accounts want their invocations logged, remembered in memory for the hot path."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

import orjson

from outcrop.shapes.bedrock import LoggingConfig

if TYPE_CHECKING:
    from outcrop.store.database import Database

# How long another process's change may go unnoticed.
FRESH_SECONDS = 0.2


class Configurations:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._version: str | None = None
        self._checked = 0.0
        self._known: dict[tuple[str, str], LoggingConfig] = {}

    def of(self, account: str, region: str) -> LoggingConfig | None:
        if time.monotonic() - self._checked > FRESH_SECONDS:
            self.refresh()
        return self._known.get((account, region))

    def refresh(self) -> None:
        """Look now whether anybody wrote to the database."""
        self._checked = time.monotonic()
        version = self._database.version()
        if version != self._version:
            self._version = version
            rows = self._database.query("SELECT account_id, region, configuration FROM invocation_logging")
            self._known = {(row["account_id"], row["region"]): _parsed(row["configuration"]) for row in rows}

    def put(self, account: str, region: str, configuration: LoggingConfig) -> None:
        with self._database.transaction() as transaction:
            transaction.execute(
                "INSERT INTO invocation_logging (account_id, region, configuration) VALUES (?, ?, ?) "
                "ON CONFLICT (account_id, region) DO UPDATE SET configuration = excluded.configuration",
                account,
                region,
                orjson.dumps(configuration).decode(),
            )
        self.refresh()

    def remove(self, account: str, region: str) -> None:
        with self._database.transaction() as transaction:
            transaction.execute("DELETE FROM invocation_logging WHERE account_id = ? AND region = ?", account, region)
        self.refresh()


def _parsed(text: str) -> LoggingConfig:
    parsed: Any = orjson.loads(text)
    return cast("LoggingConfig", parsed)
