"""Answers that were given before, by (model, prompt, parameters, sample): a run that was stopped asks nothing twice."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from pathlib import Path

import msgspec

from outcrop.evaluation.asking import Answer, Question

_TABLE = "CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, answer BLOB NOT NULL) WITHOUT ROWID"


class Cache:
    """One SQLite file, for any number of runs at once. Only answers are kept; what failed is asked again."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        self._one = threading.Lock()
        with self._one:
            self._database.execute("PRAGMA journal_mode = WAL")
            # An answer that a power failure takes is asked again.
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute(_TABLE)

    def find(self, model: str, question: Question) -> Answer | None:
        with self._one:
            row = self._database.execute("SELECT answer FROM answers WHERE key = ?", (key(model, question),)).fetchone()
        return None if row is None else msgspec.json.decode(row[0], type=Answer)

    def keep(self, model: str, question: Question, answer: Answer) -> None:
        row = key(model, question), msgspec.json.encode(answer)
        with self._one:
            self._database.execute("INSERT OR REPLACE INTO answers (key, answer) VALUES (?, ?)", row)

    def close(self) -> None:
        with self._one:
            self._database.close()


def key(model: str, question: Question) -> str:
    """`model` is the fingerprint of a model, not its name."""
    return hashlib.sha256(msgspec.json.encode((model, question))).hexdigest()
