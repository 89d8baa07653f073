"""Answers that models gave in evaluation jobs of an account, by (model, prompt, parameters): nothing is asked twice."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
import orjson

from outcrop.data_retention import modes
from outcrop.jobs.job import at
from outcrop.store.database import Database, Transaction
from outcrop.store.seals import opened, sealed


class Said(msgspec.Struct, frozen=True):
    """`failure` says why there is no answer; such are not kept."""

    text: str
    input_tokens: int = 0
    output_tokens: int = 0
    failure: str | None = None


class Answers:
    """Those that one job asks for. Everything blocks."""

    def __init__(self, database: Database, account: str, region: str, job_id: str) -> None:
        self._database = database
        self._account = account
        self._region = region
        self._job_id = job_id

    def find(self, key: str) -> Said | None:
        row = self._database.one(
            "SELECT answer FROM evaluation_answers WHERE account_id = ? AND region = ? AND key = ?",
            self._account,
            self._region,
            key,
        )
        if row is None:
            return None
        return msgspec.json.decode(opened(self._database.seals, row["answer"], self._place(key)), type=Said)

    def keep(self, key: str, said: Said, now: datetime) -> bool:
        """False where the account has decided that nothing is kept."""
        with self._database.transaction() as transaction:
            if modes.keeps_nothing(transaction, self._account, self._region):
                return False
            transaction.execute(
                "INSERT INTO evaluation_answers (account_id, region, key, job_id, answer, given_at) VALUES (?, ?, ?, ?, ?, ?) "
                "ON CONFLICT (account_id, region, key) DO NOTHING",
                self._account,
                self._region,
                key,
                self._job_id,
                sealed(transaction, self._account, self._region, msgspec.json.encode(said).decode(), self._place(key)),
                at(now),
            )
        return True

    def _place(self, key: str) -> str:
        """Of a sealed text, as `encryption.rewrap` knows it."""
        return f"evaluation_answers {self._account} {self._region} {key}"


def key_of(model: str, body: Mapping[str, Any], sample: int) -> str:
    """`model` is a fingerprint, not only a name; `sample` tells apart several answers to the same question."""
    return hashlib.sha256(orjson.dumps([model, body, sample], option=orjson.OPT_SORT_KEYS)).hexdigest()


def forget(transaction: Transaction, job_id: str) -> None:
    transaction.execute("DELETE FROM evaluation_answers WHERE job_id = ?", job_id)


def sweep(database: Database, hours: float, now: datetime) -> None:
    """Forget those that are older."""
    with database.transaction() as transaction:
        transaction.execute("DELETE FROM evaluation_answers WHERE given_at < ?", at(now - timedelta(hours=hours)))
