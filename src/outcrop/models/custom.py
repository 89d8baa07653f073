"""Custom and imported models as rows: what an account has made of a model, or has brought from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import orjson

from outcrop.identity import arns
from outcrop.models.identifiers import parse
from outcrop.store.database import Row, Transaction

if TYPE_CHECKING:
    from outcrop.store.database import Database

Kind: TypeAlias = Literal["custom", "imported"]
Status: TypeAlias = Literal["Creating", "Active", "Failed"]
Serving: TypeAlias = Literal["adapter", "own"]

FOLDER = "custom-models"
# What model ids look like within the ARNs of custom models and their jobs.
_NAME = re.compile(r"[a-z0-9-]{1,63}\.[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63})?(?::[a-z0-9-]{1,63}){0,2}")


@dataclass(frozen=True, slots=True)
class CustomModel:
    """`base_arn` is the model that it was made of, `foundation` the name of the foundation model behind that.

    `serving`: as an adapter of the foundation model's engine, or by an engine of its own; `file` is what it loads, a path
    within `folder`. `details` is what its kind tells of it besides: JSON.
    """

    id: str
    account: str
    region: str
    kind: Kind
    name: str
    arn: str
    base_arn: str | None
    foundation: str | None
    customization_type: str | None
    status: Status
    failure: str | None
    serving: Serving
    file: str
    details: Mapping[str, Any]
    client_token: str | None
    request_hash: str | None
    created_at: datetime
    updated_at: datetime

    @property
    def engine_id(self) -> str:
        return engine_id(self.id)


def engine_id(model_id: str) -> str:
    """What the engines and the catalogue know a custom or imported model by. No model of the settings has a slash."""
    return f"custom-model/{model_id}"


def folder(home: Path, model_id: str) -> Path:
    """Where its files lie."""
    return home / FOLDER / model_id


def name_in_arn(model: str) -> str:
    """The id of a model as it stands in ARNs of what is made of it: AWS's form, which not every id here has."""
    if _NAME.fullmatch(model):
        return model
    return "outcrop." + (re.sub(r"[^a-z0-9-]+", "-", model.lower())[:63].strip("-") or "model")


def build_arn(kind: Kind, region: str, account: str, model_id: str, base: str) -> str:
    """`base` is the id of a model, or `imported` for one whose base is nobody's."""
    if kind == "imported":
        return arns.build("imported-model", region, account, id12=model_id)
    return arns.build("custom-model", region, account, model=base, id12=model_id)


def find(database: Database | Transaction, model_id: str) -> CustomModel | None:
    """Whosever it is."""
    row = database.one("SELECT * FROM custom_models WHERE id = ?", model_id)
    return None if row is None else _model(row)


def named(
    database: Database | Transaction, account: str, region: str, kind: Kind, identifier: str
) -> CustomModel | None:
    """The account's of that ARN, name or id; a name counts before an id."""
    name = parse(identifier)
    place = (account, region, kind)
    if name.arn is not None:
        row = database.one(
            "SELECT * FROM custom_models WHERE arn = ? AND account_id = ? AND region = ? AND kind = ?",
            identifier,
            *place,
        )
        return None if row is None else _model(row)
    for column in ("name", "id"):
        row = database.one(
            f"SELECT * FROM custom_models WHERE {column} = ? AND account_id = ? AND region = ? AND kind = ?",  # noqa: S608
            identifier,
            *place,
        )
        if row is not None:
            return _model(row)
    return None


def all_of(database: Database | Transaction, account: str, region: str, kind: Kind) -> list[CustomModel]:
    rows = database.query(
        "SELECT * FROM custom_models WHERE account_id = ? AND region = ? AND kind = ?", account, region, kind
    )
    return [_model(row) for row in rows]


def with_ids(database: Database, ids: set[str]) -> list[CustomModel]:
    if not ids:
        # PostgreSQL knows no empty list.
        return []
    marks = ", ".join("?" * len(ids))
    return [_model(row) for row in database.query(f"SELECT * FROM custom_models WHERE id IN ({marks})", *sorted(ids))]  # noqa: S608


def imported(database: Database) -> list[CustomModel]:
    """Of all accounts: they are called by their own ARNs, without a deployment."""
    return [
        _model(row)
        for row in database.query("SELECT * FROM custom_models WHERE kind = 'imported' AND status = 'Active'")
    ]


def made_with_token(transaction: Transaction, account: str, region: str, kind: Kind, token: str) -> CustomModel | None:
    row = transaction.one(
        "SELECT * FROM custom_models WHERE account_id = ? AND region = ? AND kind = ? AND client_token = ?",
        account,
        region,
        kind,
        token,
    )
    return None if row is None else _model(row)


def add(transaction: Transaction, model: CustomModel) -> None:
    """IntegrityError if the account has a model of that name already."""
    transaction.execute(
        "INSERT INTO custom_models (id, account_id, region, kind, name, arn, base_arn, foundation, customization_type, "
        "status, failure, serving, file, details, client_token, request_hash, created_at, updated_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        model.id,
        model.account,
        model.region,
        model.kind,
        model.name,
        model.arn,
        model.base_arn,
        model.foundation,
        model.customization_type,
        model.status,
        model.failure,
        model.serving,
        model.file,
        orjson.dumps(model.details).decode(),
        model.client_token,
        model.request_hash,
        _at(model.created_at),
        _at(model.updated_at),
    )


def settle(
    transaction: Transaction,
    model_id: str,
    now: datetime,
    *,
    failure: str | None = None,
    serving: Serving = "own",
    file: str = "",
) -> None:
    """One that was being created is there, with its file, or has failed."""
    transaction.execute(
        "UPDATE custom_models SET status = ?, failure = ?, serving = ?, file = ?, updated_at = ? "
        "WHERE id = ? AND status = 'Creating'",
        "Active" if failure is None else "Failed",
        failure,
        serving,
        file,
        _at(now),
        model_id,
    )


def remove(transaction: Transaction, model_id: str) -> None:
    transaction.execute("DELETE FROM custom_models WHERE id = ?", model_id)


def _at(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def _model(row: Row) -> CustomModel:
    return CustomModel(
        id=row["id"],
        account=row["account_id"],
        region=row["region"],
        kind=cast(Kind, row["kind"]),
        name=row["name"],
        arn=row["arn"],
        base_arn=row["base_arn"],
        foundation=row["foundation"],
        customization_type=row["customization_type"],
        status=cast(Status, row["status"]),
        failure=row["failure"],
        serving=cast(Serving, row["serving"]),
        file=row["file"],
        details=orjson.loads(row["details"]),
        client_token=row["client_token"],
        request_hash=row["request_hash"],
        created_at=datetime.fromisoformat(row["created_at"]),
        updated_at=datetime.fromisoformat(row["updated_at"]),
    )
