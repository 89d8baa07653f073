"""Application inference profiles as rows: an account's own name for a model, so that its use can be told apart."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from outcrop.identity import arns
from outcrop.store.database import Row, Transaction

if TYPE_CHECKING:
    from outcrop.store.database import Database


@dataclass(frozen=True, slots=True)
class Profile:
    """`source` is the ARN that it was copied from."""

    id: str
    account: str
    region: str
    name: str
    description: str | None
    source: str
    client_token: str | None
    request_hash: str
    created_at: datetime
    updated_at: datetime

    @property
    def arn(self) -> str:
        return arns.build("application-inference-profile", self.region, self.account, id12=self.id)


def find(database: Database, account: str, region: str, profile_id: str) -> Profile | None:
    row = database.one(
        "SELECT * FROM inference_profiles WHERE id = ? AND account_id = ? AND region = ?", profile_id, account, region
    )
    return None if row is None else _profile(row)


def made_with_token(transaction: Transaction, account: str, region: str, token: str) -> Profile | None:
    row = transaction.one(
        "SELECT * FROM inference_profiles WHERE account_id = ? AND region = ? AND client_token = ?",
        account,
        region,
        token,
    )
    return None if row is None else _profile(row)


def all_of(database: Database, account: str, region: str) -> list[Profile]:
    rows = database.query("SELECT * FROM inference_profiles WHERE account_id = ? AND region = ?", account, region)
    return [_profile(row) for row in rows]


def add(transaction: Transaction, profile: Profile) -> None:
    transaction.execute(
        "INSERT INTO inference_profiles (id, account_id, region, name, description, source, client_token, "
        "request_hash, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        profile.id,
        profile.account,
        profile.region,
        profile.name,
        profile.description,
        profile.source,
        profile.client_token,
        profile.request_hash,
        profile.created_at.isoformat(timespec="milliseconds"),
        profile.updated_at.isoformat(timespec="milliseconds"),
    )


def remove(transaction: Transaction, profile: Profile) -> None:
    transaction.execute("DELETE FROM inference_profiles WHERE id = ?", profile.id)


def _profile(row: Row) -> Profile:
    return Profile(
        id=row["id"],
        account=row["account_id"],
        region=row["region"],
        name=row["name"],
        description=row["description"],
        source=row["source"],
        client_token=row["client_token"],
        request_hash=row["request_hash"],
        created_at=datetime.fromisoformat(row["created_at"]),
        updated_at=datetime.fromisoformat(row["updated_at"]),
    )
