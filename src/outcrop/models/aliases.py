"""Aliases: ids and patterns with `*` that a model of the catalogue answers for.

They come from the settings (and the command line) and from the table `aliases`, which wins where both name the same
pattern because it can be changed at run time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from outcrop.models.identifiers import without_geography

if TYPE_CHECKING:
    from outcrop.store.database import Database

_PATTERN = re.compile(r"(?:[A-Za-z0-9_.:*-]{1,256}|arn:[A-Za-z0-9_.:/-]{1,2040})")


class AliasError(Exception):
    """A sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Alias:
    pattern: str
    model_id: str
    origin: str  # "settings" or "run time"

    @property
    def exact(self) -> bool:
        return "*" not in self.pattern

    @property
    def specificity(self) -> int:
        return len(self.pattern) - self.pattern.count("*")


@dataclass(frozen=True, slots=True)
class Aliases:
    """All aliases in force, ready to be asked."""

    exact: Mapping[str, Alias]
    patterns: Sequence[tuple[re.Pattern[str], Alias]]
    _answers: dict[str, str | None] = field(default_factory=dict)

    def find(self, name: str) -> str | None:
        """The model id that answers for `name`, or None.

        An exact alias beats every pattern, the longer pattern beats the shorter, and `us.x` may be meant by an alias
        for `x` as well.
        """
        if name not in self._answers:
            if len(self._answers) > 4096:
                self._answers.clear()
            self._answers[name] = self._search(name)
        return self._answers[name]

    def _search(self, name: str) -> str | None:
        forms = [name] if (bare := without_geography(name)) is None else [name, bare]
        for form in forms:
            if (alias := self.exact.get(form)) is not None:
                return alias.model_id
        return next((alias.model_id for pattern, alias in self.patterns if any(map(pattern.fullmatch, forms))), None)


def collect(configured: Mapping[str, str], stored: Sequence[Alias]) -> Aliases:
    merged = {pattern: Alias(pattern, model, "settings") for pattern, model in configured.items()}
    merged.update((alias.pattern, alias) for alias in stored)
    patterns = sorted((a for a in merged.values() if not a.exact), key=lambda a: (-a.specificity, a.pattern))
    return Aliases(
        {alias.pattern: alias for alias in merged.values() if alias.exact},
        [(_compiled(alias.pattern), alias) for alias in patterns],
    )


def stored(database: Database) -> list[Alias]:
    rows = database.query("SELECT pattern, model_id FROM aliases ORDER BY pattern")
    return [Alias(row["pattern"], row["model_id"], "run time") for row in rows]


def check(pattern: str, model_id: str) -> None:
    """AliasError if `pattern` cannot stand for `model_id`."""
    if _PATTERN.fullmatch(pattern) is None:
        raise AliasError(
            f"{pattern!r} is no alias: give an id of letters, digits and -_:. with * for any text, or an ARN."
        )
    if pattern == model_id:
        raise AliasError(f"{pattern} cannot be an alias of itself.")


def put(database: Database, pattern: str, model_id: str) -> None:
    """Set or replace one alias; AliasError if `pattern` cannot be one."""
    check(pattern, model_id)
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    with database.transaction() as transaction:
        transaction.execute(
            "INSERT INTO aliases (pattern, model_id, created_at) VALUES (?, ?, ?) "
            "ON CONFLICT (pattern) DO UPDATE SET model_id = excluded.model_id, created_at = excluded.created_at",
            pattern,
            model_id,
            now,
        )


def remove(database: Database, pattern: str) -> bool:
    """Whether there was one."""
    with database.transaction() as transaction:
        return transaction.execute("DELETE FROM aliases WHERE pattern = ?", pattern) > 0


def _compiled(pattern: str) -> re.Pattern[str]:
    # A run of stars means one star; more would only make matching slow.
    pieces = re.split(r"\*+", pattern)
    return re.compile(".*?".join(map(re.escape, pieces)), re.DOTALL)
