"""Deployments of custom models as rows: the names by which they are called."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from outcrop.identity import arns
from outcrop.models.identifiers import parse
from outcrop.store.database import Row, Transaction

if TYPE_CHECKING:
    from outcrop.store.database import Database

Status: TypeAlias = Literal["Creating", "Active", "Failed"]
UpdateStatus: TypeAlias = Literal["Updating", "UpdateCompleted", "UpdateFailed"]


@dataclass(frozen=True, slots=True)
class Deployment:
    """`model` is the id of the custom model that answers, `desired` of the one that an update puts in its place."""

    id: str
    account: str
    region: str
    name: str
    description: str | None
    model: str
    status: Status
    failure: str | None
    desired: str | None
    update_status: UpdateStatus | None
    client_token: str | None
    request_hash: str
    created_at: datetime
    updated_at: datetime

    @property
    def arn(self) -> str:
        return arns.build("custom-model-deployment", self.region, self.account, id12=self.id)

    @property
    def models(self) -> set[str]:
        """The ids of all that it needs now."""
        updating = self.update_status == "Updating" and self.desired is not None
        return {self.model, self.desired} if updating and self.desired is not None else {self.model}


def everything(database: Database | Transaction) -> list[Deployment]:
    """Of all accounts and regions: they share the engines."""
    return [
        _deployment(row) for row in database.query("SELECT * FROM custom_model_deployments ORDER BY created_at, id")
    ]


def named(database: Database | Transaction, account: str, region: str, identifier: str) -> Deployment | None:
    """The account's of that ARN, name or id; a name counts before an id."""
    name = parse(identifier)
    place = (account, region)
    if name.arn is not None:
        own = name.kind == "custom-model-deployment" and (name.arn.account, name.arn.region) == place
        return _one(database, "id", name.name, *place) if own else None
    return _one(database, "name", identifier, *place) or _one(database, "id", identifier, *place)


def arn_named(database: Database, account: str, region: str, name: str) -> str | None:
    """For policies, which go by ARNs."""
    found = named(database, account, region, name)
    return None if found is None else found.arn


def of_id(database: Database | Transaction, deployment_id: str) -> Deployment | None:
    row = database.one("SELECT * FROM custom_model_deployments WHERE id = ?", deployment_id)
    return None if row is None else _deployment(row)


def made_with_token(transaction: Transaction, account: str, region: str, token: str) -> Deployment | None:
    row = transaction.one(
        "SELECT * FROM custom_model_deployments WHERE account_id = ? AND region = ? AND client_token = ?",
        account,
        region,
        token,
    )
    return None if row is None else _deployment(row)


def add(transaction: Transaction, deployment: Deployment) -> None:
    transaction.execute(
        "INSERT INTO custom_model_deployments (id, account_id, region, name, description, model_id, status, failure, "
        "desired_model_id, update_status, client_token, request_hash, created_at, updated_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        deployment.id,
        deployment.account,
        deployment.region,
        deployment.name,
        deployment.description,
        deployment.model,
        deployment.status,
        deployment.failure,
        deployment.desired,
        deployment.update_status,
        deployment.client_token,
        deployment.request_hash,
        _at(deployment.created_at),
        _at(deployment.updated_at),
    )


def settle(transaction: Transaction, deployment_id: str, model: str, now: datetime, failure: str | None) -> None:
    """It has its first model ready, or has failed. One that is deleted meanwhile, or updated, is left alone."""
    transaction.execute(
        "UPDATE custom_model_deployments SET status = ?, failure = ?, updated_at = ? "
        "WHERE id = ? AND model_id = ? AND status = 'Creating'",
        "Active" if failure is None else "Failed",
        failure,
        _at(now),
        deployment_id,
        model,
    )


def begin_update(transaction: Transaction, deployment_id: str, model: str, now: datetime) -> None:
    transaction.execute(
        "UPDATE custom_model_deployments SET desired_model_id = ?, update_status = 'Updating', updated_at = ? WHERE id = ?",
        model,
        _at(now),
        deployment_id,
    )


def end_update(transaction: Transaction, deployment_id: str, model: str, now: datetime, failure: str | None) -> None:
    """The desired model answers from now on; or the old one does, and the update has failed."""
    transaction.execute(
        "UPDATE custom_model_deployments SET model_id = CASE WHEN ? = 'UpdateCompleted' THEN ? ELSE model_id END, "
        "update_status = ?, failure = ?, updated_at = ? "
        "WHERE id = ? AND desired_model_id = ? AND update_status = 'Updating'",
        "UpdateCompleted" if failure is None else "UpdateFailed",
        model,
        "UpdateCompleted" if failure is None else "UpdateFailed",
        failure,
        _at(now),
        deployment_id,
        model,
    )


def remove(transaction: Transaction, deployment_id: str) -> None:
    transaction.execute("DELETE FROM custom_model_deployments WHERE id = ?", deployment_id)


def _one(database: Database | Transaction, column: str, value: str, account: str, region: str) -> Deployment | None:
    row = database.one(
        f"SELECT * FROM custom_model_deployments WHERE {column} = ? AND account_id = ? AND region = ?",  # noqa: S608
        value,
        account,
        region,
    )
    return None if row is None else _deployment(row)


def _at(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")


def _deployment(row: Row) -> Deployment:
    return Deployment(
        id=row["id"],
        account=row["account_id"],
        region=row["region"],
        name=row["name"],
        description=row["description"],
        model=row["model_id"],
        status=cast(Status, row["status"]),
        failure=row["failure"],
        desired=row["desired_model_id"],
        update_status=cast("UpdateStatus | None", row["update_status"]),
        client_token=row["client_token"],
        request_hash=row["request_hash"],
        created_at=datetime.fromisoformat(row["created_at"]),
        updated_at=datetime.fromisoformat(row["updated_at"]),
    )
