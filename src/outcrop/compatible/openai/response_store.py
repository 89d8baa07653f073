"""Stored responses, so that `previous_response_id` can continue them. They are kept for thirty days, as OpenAI does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from outcrop.context import Context
from outcrop.data_retention import modes
from outcrop.errors import ResourceNotFoundException, ValidationException
from outcrop.store import seals
from outcrop.store.database import Row, Transaction

KEPT = timedelta(days=30)
# A conversation longer than that does not fit into any context.
LONGEST = 10_000


@dataclass(frozen=True, slots=True)
class Stored:
    """`items` are the input's, `response` the finished object."""

    previous_id: str | None
    items: list[dict[str, Any]]
    response: dict[str, Any]


def wanted(ctx: Context, store: bool | None) -> bool:
    """Whether a response is to be kept, of which the request says `store`. ValidationException where it must not be."""
    if not modes.keeps_nothing(ctx.database, ctx.account, ctx.region):
        return store is not False
    if store:
        raise ValidationException("store: Responses can't be stored under data retention mode 'none'.")
    return False


def save(ctx: Context, items: list[dict[str, Any]], response: dict[str, Any]) -> None:
    """Blocking. Nothing, where the account has come to want nothing kept since it asked."""
    now = ctx.now()
    with ctx.database.transaction() as transaction:
        if modes.keeps_nothing(transaction, ctx.account, ctx.region):
            return
        transaction.execute("DELETE FROM responses WHERE created_at < ?", _text(now - KEPT))
        transaction.execute(
            "INSERT INTO responses (id, account_id, region, previous_id, input, response, model, created_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            response["id"],
            ctx.account,
            ctx.region,
            response["previous_response_id"],
            _sealed(ctx, transaction, response["id"], "input", items),
            _sealed(ctx, transaction, response["id"], "response", response),
            response["model"],
            _text(now),
        )


def find(ctx: Context, response_id: str) -> Stored:
    """ResourceNotFoundException if the account has none of that id in this region."""
    row = ctx.database.one(
        "SELECT * FROM responses WHERE id = ? AND account_id = ? AND region = ?", response_id, ctx.account, ctx.region
    )
    if row is None:
        raise ResourceNotFoundException(f"Response with id '{response_id}' not found.")
    return _stored(row, ctx.database.seals)


def history(ctx: Context, response_id: str | None) -> list[dict[str, Any]]:
    """All items up to and with the output of that response."""
    items: list[dict[str, Any]] = []
    for _ in range(LONGEST):
        if response_id is None:
            return items
        stored = find_previous(ctx, response_id)
        items = [*stored.items, *stored.response["output"], *items]
        response_id = stored.previous_id
    raise ValidationException("previous_response_id: The conversation is too long.")


def find_previous(ctx: Context, response_id: str) -> Stored:
    try:
        return find(ctx, response_id)
    except ResourceNotFoundException:
        raise ValidationException(
            f"Previous response with id '{response_id}' not found.", members={"param": "previous_response_id"}
        ) from None


def remove(ctx: Context, response_id: str) -> None:
    find(ctx, response_id)
    with ctx.database.transaction() as transaction:
        transaction.execute("DELETE FROM responses WHERE id = ? AND account_id = ?", response_id, ctx.account)


def _sealed(ctx: Context, transaction: Transaction, response_id: str, column: str, value: object) -> str:
    text = orjson.dumps(value).decode()
    return seals.sealed(transaction, ctx.account, ctx.region, text, _place(response_id, column))


def _stored(row: Row, opening: seals.Seals | None) -> Stored:
    items, response = (
        orjson.loads(seals.opened(opening, row[column], _place(row["id"], column))) for column in ("input", "response")
    )
    return Stored(row["previous_id"], items, response)


def _place(response_id: str, column: str) -> str:
    return f"responses {response_id} {column}"


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
