"""Provisioned throughput: rows of an account's reserved model units, and which of them engines keep places for.

A model unit is one place of the model's engine: one request at a time. Every server that shares the database keeps the
places in its own engines.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from outcrop.identity import arns
from outcrop.models.identifiers import parse
from outcrop.store.database import Row, Transaction

if TYPE_CHECKING:
    from outcrop.store.database import Database

Commitment: TypeAlias = Literal["OneMonth", "SixMonths"]

MONTHS: dict[Commitment, int] = {"OneMonth": 1, "SixMonths": 6}


@dataclass(frozen=True, slots=True)
class Throughput:
    """`model_arn` is a foundation model's, by the name that the caller gave it, or a custom one's.

    `expires_at` is the end of its first term of commitment.
    """

    id: str
    account: str
    region: str
    name: str
    model_arn: str
    units: int
    commitment: Commitment | None
    expires_at: datetime | None
    client_token: str | None
    request_hash: str
    created_at: datetime
    updated_at: datetime

    @property
    def arn(self) -> str:
        return arns.build("provisioned-model", self.region, self.account, id12=self.id)

    @property
    def model_name(self) -> str:
        return parse(self.model_arn).name

    def committed_until(self, now: datetime) -> datetime | None:
        """The end of the term that it is in: each is followed by another. None for one without a commitment."""
        if self.commitment is None:
            return None
        months = MONTHS[self.commitment]
        passed = (now.year - self.created_at.year) * 12 + now.month - self.created_at.month
        ends = (months_after(self.created_at, term * months) for term in (passed // months, passed // months + 1))
        return next(end for end in ends if end > max(now, self.created_at))


def months_after(moment: datetime, months: int) -> datetime:
    """The same day of a later month, or its last day where it has no such day."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    month += 1
    return moment.replace(year=year, month=month, day=min(moment.day, calendar.monthrange(year, month)[1]))


def everything(database: Database | Transaction) -> list[Throughput]:
    """Of all accounts and regions, oldest first: they share the engines."""
    return [_throughput(row) for row in database.query("SELECT * FROM provisioned_models ORDER BY created_at, id")]


def find(database: Database, account: str, region: str, throughput_id: str) -> Throughput | None:
    row = database.one(
        "SELECT * FROM provisioned_models WHERE id = ? AND account_id = ? AND region = ?",
        throughput_id,
        account,
        region,
    )
    return None if row is None else _throughput(row)


def named(database: Database, account: str, region: str, identifier: str) -> Throughput | None:
    """The account's of that ARN, name or id; a name counts before an id."""
    name = parse(identifier)
    if name.arn is not None:
        own = name.kind == "provisioned-model" and (name.arn.account, name.arn.region) == (account, region)
        return find(database, account, region, name.name) if own else None
    row = database.one(
        "SELECT * FROM provisioned_models WHERE name = ? AND account_id = ? AND region = ?", identifier, account, region
    )
    return find(database, account, region, identifier) if row is None else _throughput(row)


def arn_named(database: Database, account: str, region: str, name: str) -> str | None:
    """For policies, which go by ARNs."""
    found = named(database, account, region, name)
    return None if found is None else found.arn


def made_with_token(transaction: Transaction, account: str, region: str, token: str) -> Throughput | None:
    row = transaction.one(
        "SELECT * FROM provisioned_models WHERE account_id = ? AND region = ? AND client_token = ?",
        account,
        region,
        token,
    )
    return None if row is None else _throughput(row)


def add(transaction: Transaction, throughput: Throughput) -> None:
    transaction.execute(
        "INSERT INTO provisioned_models (id, account_id, region, name, model_arn, model_units, commitment, expires_at, "
        "client_token, request_hash, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        throughput.id,
        throughput.account,
        throughput.region,
        throughput.name,
        throughput.model_arn,
        throughput.units,
        throughput.commitment,
        None if throughput.expires_at is None else throughput.expires_at.isoformat(timespec="milliseconds"),
        throughput.client_token,
        throughput.request_hash,
        throughput.created_at.isoformat(timespec="milliseconds"),
        throughput.updated_at.isoformat(timespec="milliseconds"),
    )


def rename(transaction: Transaction, throughput: Throughput, name: str, now: datetime) -> None:
    transaction.execute(
        "UPDATE provisioned_models SET name = ?, updated_at = ? WHERE id = ?",
        name,
        now.isoformat(timespec="milliseconds"),
        throughput.id,
    )


def exchange(transaction: Transaction, throughput: Throughput, model_arn: str, now: datetime) -> None:
    """Another model takes the places."""
    transaction.execute(
        "UPDATE provisioned_models SET model_arn = ?, updated_at = ? WHERE id = ?",
        model_arn,
        now.isoformat(timespec="milliseconds"),
        throughput.id,
    )


def of_all_accounts(database: Database, name: str) -> list[Throughput]:
    """For the operator: all that have this id, name or ARN, whosever they are."""
    return [row for row in everything(database) if name in (row.id, row.name, row.arn)]


def remove(transaction: Transaction, throughput: Throughput) -> None:
    transaction.execute("DELETE FROM provisioned_models WHERE id = ?", throughput.id)


class Reserved:
    """What of all provisioned throughput is kept by the engines of this server, oldest first; the rest has failed.

    `model_of` gives the id of the model that answers to a name, `reservable` how many places of its engines may be
    reserved (None: they have no known number), `host` whose engine answers for a model: an adapter's base.
    """

    def __init__(
        self,
        rows: Sequence[Throughput],
        model_of: Callable[[str], str | None],
        reservable: Callable[[str], int | None],
        host: Callable[[str], str] = lambda model_id: model_id,
    ) -> None:
        self._reservable = reservable
        self._host = host
        self._by_id = {row.id: row for row in rows}
        self._by_name = {(row.account, row.region, row.name): row for row in rows}
        self._problems: dict[str, str] = {}
        self._models: dict[str, str] = {}
        self.places: dict[str, dict[str, int]] = {}
        for row in rows:
            self._keep(row, model_of(row.model_name))

    def _keep(self, row: Throughput, model_id: str | None) -> None:
        if model_id is None:
            self._problems[row.id] = f"The model {row.model_name} is not in the catalogue any more."
            return
        self._models[row.id] = model_id
        free = self.free(model_id)
        if free is None:
            self._problems[row.id] = unlimited(row.model_name)
        elif row.units > free:
            self._problems[row.id] = (
                f"It has {row.units} model units, and of what may be reserved of {row.model_name} {free} are free."
            )
        else:
            self.places.setdefault(self._host(model_id), {})[row.id] = row.units

    def free(self, model_id: str) -> int | None:
        """How many places of the model's engines may still be reserved; None: they have no known number."""
        most = self._reservable(model_id)
        return None if most is None else max(0, most - sum(self.places.get(self._host(model_id), {}).values()))

    def problem(self, throughput: Throughput) -> str | None:
        """Why it is not in service."""
        return self._problems.get(throughput.id)

    def model_of(self, throughput: Throughput) -> str | None:
        """The id of the model that answers."""
        return self._models.get(throughput.id)

    def of_id(self, account: str, region: str, throughput_id: str) -> Throughput | None:
        found = self._by_id.get(throughput_id)
        return found if found is not None and (found.account, found.region) == (account, region) else None

    def of_name(self, account: str, region: str, name: str) -> Throughput | None:
        return self._by_name.get((account, region, name))


def unlimited(model_name: str) -> str:
    return (
        f"The engine of {model_name} has no known number of requests that it works on at once, so none can be reserved. "
        "Set its `concurrency` in the settings."
    )


def _throughput(row: Row) -> Throughput:
    expires_at = row["expires_at"]
    return Throughput(
        id=row["id"],
        account=row["account_id"],
        region=row["region"],
        name=row["name"],
        model_arn=row["model_arn"],
        units=row["model_units"],
        commitment=cast("Commitment | None", row["commitment"]),
        expires_at=None if expires_at is None else datetime.fromisoformat(expires_at),
        client_token=row["client_token"],
        request_hash=row["request_hash"],
        created_at=datetime.fromisoformat(row["created_at"]),
        updated_at=datetime.fromisoformat(row["updated_at"]),
    )
