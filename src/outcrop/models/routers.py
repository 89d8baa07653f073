"""Prompt routers as rows: two models, the one of them that answers by default, and how much better the other must be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import orjson

from outcrop.identity import arns
from outcrop.models.identifiers import parse
from outcrop.store.database import Row, Transaction

if TYPE_CHECKING:
    from outcrop.store.database import Database


@dataclass(frozen=True, slots=True)
class PromptRouter:
    """`models` as they were given; `fallback` need not be among them. `difference` is in percent."""

    id: str
    account: str
    region: str
    name: str
    description: str | None
    models: tuple[str, ...]
    fallback: str
    difference: float
    client_token: str | None
    request_hash: str
    created_at: datetime
    updated_at: datetime

    @property
    def arn(self) -> str:
        return arns.build("prompt-router", self.region, self.account, id12=self.id)

    @property
    def targets(self) -> frozenset[str]:
        return frozenset((*self.models, self.fallback))

    @property
    def other(self) -> str:
        """The one that is not the fallback."""
        return next(arn for arn in self.models if arn != self.fallback)


def named(database: Database, account: str, region: str, arn: str) -> PromptRouter | None:
    """The account's router of that ARN."""
    name = parse(arn).arn
    if name is None or (name.account, name.region) != (account, region):
        return None
    kind, names = arns.recognize(name) or ("", {})
    return find(database, account, region, names["id12"]) if kind == "prompt-router" else None


def find(database: Database, account: str, region: str, router_id: str) -> PromptRouter | None:
    row = database.one(
        "SELECT * FROM prompt_routers WHERE id = ? AND account_id = ? AND region = ?", router_id, account, region
    )
    return None if row is None else _router(row)


def made_with_token(transaction: Transaction, account: str, region: str, token: str) -> PromptRouter | None:
    row = transaction.one(
        "SELECT * FROM prompt_routers WHERE account_id = ? AND region = ? AND client_token = ?", account, region, token
    )
    return None if row is None else _router(row)


def names_of(transaction: Transaction, account: str, region: str) -> set[str]:
    rows = transaction.query("SELECT name FROM prompt_routers WHERE account_id = ? AND region = ?", account, region)
    return {row["name"] for row in rows}


def all_of(database: Database, account: str, region: str) -> list[PromptRouter]:
    rows = database.query("SELECT * FROM prompt_routers WHERE account_id = ? AND region = ?", account, region)
    return [_router(row) for row in rows]


def add(transaction: Transaction, router: PromptRouter) -> None:
    transaction.execute(
        "INSERT INTO prompt_routers (id, account_id, region, name, description, models, fallback_model, "
        "quality_difference, client_token, request_hash, created_at, updated_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        router.id,
        router.account,
        router.region,
        router.name,
        router.description,
        orjson.dumps(router.models).decode(),
        router.fallback,
        repr(router.difference),
        router.client_token,
        router.request_hash,
        router.created_at.isoformat(timespec="milliseconds"),
        router.updated_at.isoformat(timespec="milliseconds"),
    )


def remove(transaction: Transaction, router: PromptRouter) -> None:
    transaction.execute("DELETE FROM prompt_routers WHERE id = ?", router.id)


def _router(row: Row) -> PromptRouter:
    return PromptRouter(
        id=row["id"],
        account=row["account_id"],
        region=row["region"],
        name=row["name"],
        description=row["description"],
        models=tuple(orjson.loads(row["models"])),
        fallback=row["fallback_model"],
        difference=float(row["quality_difference"]),
        client_token=row["client_token"],
        request_hash=row["request_hash"],
        created_at=datetime.fromisoformat(row["created_at"]),
        updated_at=datetime.fromisoformat(row["updated_at"]),
    )
