"""Policies as rows: an account's own, what is attached to whom, and those of resources."""

from __future__ import annotations

import json
from dataclasses import dataclass

from outcrop.identity import arns
from outcrop.identity.accounts import IdentityError, Reads, check_name, now
from outcrop.identity.policies.document import MalformedPolicy, read
from outcrop.identity.policies.managed import DOCUMENTS, PREFIX
from outcrop.store.database import Database, Row, Transaction

# As many as AWS attaches to one user or role.
MOST_ATTACHED = 20


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    arn: str
    name: str
    document: str
    updated_at: str | None


def listed(reads: Reads, account: str) -> list[StoredPolicy]:
    """The account's own by name, then those that AWS manages."""
    rows = reads.query("SELECT * FROM policies WHERE account_id = ? ORDER BY name", account)
    return [*map(_policy, rows), *(_managed(arn) for arn in DOCUMENTS)]


def find(reads: Reads, account: str, name_or_arn: str) -> StoredPolicy | None:
    """An account's policy by name or ARN, or one that AWS manages by either."""
    arn = name_or_arn if name_or_arn.startswith("arn:") else arns.policy(account, name_or_arn)
    row = reads.one("SELECT * FROM policies WHERE arn = ? AND account_id = ?", arn, account)
    if row is not None:
        return _policy(row)
    managed = name_or_arn if name_or_arn.startswith(PREFIX) else PREFIX + name_or_arn
    return _managed(managed) if managed in DOCUMENTS else None


def policy(reads: Reads, account: str, name_or_arn: str) -> StoredPolicy:
    found = find(reads, account, name_or_arn)
    if found is None:
        raise IdentityError(f"There is no policy {name_or_arn} in account {account}. See: outcrop policies list")
    return found


def put(transaction: Transaction, account: str, name: str, document: str) -> StoredPolicy:
    """Make it or write it over. MalformedPolicy if the document is none."""
    check_name(name, "policy")
    read(document, "identity")
    moment = now()
    arn = arns.policy(account, name)
    transaction.execute(
        "INSERT INTO policies (arn, account_id, name, document, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (arn) DO UPDATE SET document = excluded.document, updated_at = excluded.updated_at",
        arn,
        account,
        name,
        document,
        moment,
        moment,
    )
    return StoredPolicy(arn, name, document, moment)


def remove(transaction: Transaction, gone: StoredPolicy) -> None:
    """IdentityError for one that is attached, a boundary, or AWS's."""
    if gone.arn in DOCUMENTS:
        raise IdentityError(f"{gone.name} is managed by AWS and cannot be deleted.")
    used = transaction.one("SELECT principal_id FROM policy_attachments WHERE policy_arn = ? LIMIT 1", gone.arn)
    for table in ("users", "roles"):
        used = used or transaction.one(f"SELECT id FROM {table} WHERE boundary = ? LIMIT 1", gone.arn)  # noqa: S608
    if used is not None:
        raise IdentityError(f"{gone.name} is attached to somebody. Detach it first.")
    transaction.execute("DELETE FROM policies WHERE arn = ?", gone.arn)


def attach(transaction: Transaction, principal_id: str, policy_arn: str) -> None:
    have = attached(transaction, principal_id)
    if policy_arn in have:
        return
    if len(have) >= MOST_ATTACHED:
        raise IdentityError(f"No more than {MOST_ATTACHED} policies can be attached to one user or role.")
    transaction.execute(
        "INSERT INTO policy_attachments (principal_id, policy_arn) VALUES (?, ?)", principal_id, policy_arn
    )


def detach(transaction: Transaction, principal_id: str, policy_arn: str) -> bool:
    """Whether it was attached."""
    done = transaction.execute(
        "DELETE FROM policy_attachments WHERE principal_id = ? AND policy_arn = ?", principal_id, policy_arn
    )
    return done > 0


def attached(reads: Reads, principal_id: str) -> list[str]:
    """ARNs."""
    rows = reads.query(
        "SELECT policy_arn FROM policy_attachments WHERE principal_id = ? ORDER BY policy_arn", principal_id
    )
    return [row["policy_arn"] for row in rows]


def document(reads: Reads, arn: str) -> str | None:
    """Of any account: whoever attached it could see it."""
    if arn in DOCUMENTS:
        return DOCUMENTS[arn]
    row = reads.one("SELECT document FROM policies WHERE arn = ?", arn)
    return None if row is None else str(row["document"])


def checked_trust(text: str) -> str:
    """IdentityError with the place if it is no trust policy."""
    try:
        read(text, "trust")
    except MalformedPolicy as problem:
        raise IdentityError(f"The trust policy is malformed: {problem}") from None
    return text


def trust_of_account(account: str) -> str:
    """Leaves it to the account's own policies who may be the role."""
    statement = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, indent=1)


def resource_policies(database: Database) -> dict[str, str]:
    """Documents by the ARN of their resource, all accounts'."""
    return {row["resource_arn"]: row["document"] for row in database.query("SELECT * FROM resource_policies")}


def resource_policy(reads: Reads, resource_arn: str) -> str | None:
    row = reads.one("SELECT document FROM resource_policies WHERE resource_arn = ?", resource_arn)
    return None if row is None else str(row["document"])


def put_resource_policy(transaction: Transaction, account: str, resource_arn: str, text: str) -> None:
    transaction.execute(
        "INSERT INTO resource_policies (resource_arn, account_id, document, updated_at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (resource_arn) DO UPDATE SET document = excluded.document, updated_at = excluded.updated_at",
        resource_arn,
        account,
        text,
        now(),
    )


def remove_resource_policy(transaction: Transaction, resource_arn: str) -> bool:
    """Whether there was one."""
    return transaction.execute("DELETE FROM resource_policies WHERE resource_arn = ?", resource_arn) > 0


def _policy(row: Row) -> StoredPolicy:
    return StoredPolicy(row["arn"], row["name"], row["document"], row["updated_at"])


def _managed(arn: str) -> StoredPolicy:
    return StoredPolicy(arn, arn.removeprefix(PREFIX), DOCUMENTS[arn], None)
