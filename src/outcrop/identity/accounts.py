"""Accounts, and the users and roles in them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from outcrop.identity import arns
from outcrop.store.database import Database, Row, Transaction
from outcrop.store.ids import BASE32, account_id, new_id

# IAM's rule for the names of users and roles, which are parts of ARNs.
_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
_ACCOUNT_ID = re.compile(r"[0-9]{12}")
_TAG_KEY = re.compile(r"[\w .:/=+@-]{1,128}")

LONGEST_SESSION_SECONDS = 43_200
SHORTEST_SESSION_SECONDS = 3600


class IdentityError(Exception):
    """A sentence for the person who manages accounts, users, keys and policies."""


class Reads(Protocol):
    """A database, or a transaction of it."""

    def query(self, sql: str, *params: object) -> list[Row]: ...

    def one(self, sql: str, *params: object) -> Row | None: ...


@dataclass(frozen=True, slots=True)
class Account:
    id: str
    name: str | None
    created_at: str


@dataclass(frozen=True, slots=True)
class User:
    id: str
    account: str
    name: str
    boundary: str | None
    created_at: str

    @property
    def arn(self) -> str:
        return arns.user(self.account, self.name)


@dataclass(frozen=True, slots=True)
class Role:
    """`trust` is the document that says who may be the role."""

    id: str
    account: str
    name: str
    trust: str
    max_session_seconds: int
    boundary: str | None
    created_at: str

    @property
    def arn(self) -> str:
        return arns.role(self.account, self.name)


def default_account(reads: Reads) -> str:
    """The one that the first start made. IdentityError before the first start."""
    row = reads.one("SELECT id FROM accounts ORDER BY number, created_at LIMIT 1")
    if row is None:
        raise IdentityError("There is no account yet. Run: outcrop serve")
    return str(row["id"])


def chosen_account(reads: Reads, text: str | None) -> str:
    """The account of that id or name; without one, the first."""
    if text is None:
        return default_account(reads)
    row = reads.one("SELECT id FROM accounts WHERE id = ? OR name = ?", text, text)
    if row is None:
        raise IdentityError(f"There is no account {text}. See: outcrop accounts list")
    return str(row["id"])


def accounts(reads: Reads) -> list[Account]:
    rows = reads.query("SELECT id, name, created_at FROM accounts ORDER BY number, created_at")
    return [Account(row["id"], row["name"], row["created_at"]) for row in rows]


def add_account(transaction: Transaction, name: str | None = None, chosen_id: str | None = None) -> Account:
    """Empty: without a user."""
    if name is not None:
        check_name(name, "account")
        if _ACCOUNT_ID.fullmatch(name):
            raise IdentityError("An account's name must not look like an account id.")
    if chosen_id is not None and not _ACCOUNT_ID.fullmatch(chosen_id):
        raise IdentityError("An account id has 12 digits.")
    account = Account(chosen_id or account_id(), name, now())
    if transaction.one("SELECT id FROM accounts WHERE id = ? OR name = ?", account.id, name):
        raise IdentityError("There is an account of that id or name already.")
    last = transaction.one("SELECT max(number) AS number FROM accounts")
    number = (last["number"] or 0) + 1 if last is not None else 1
    transaction.execute(
        "INSERT INTO accounts (id, name, number, created_at) VALUES (?, ?, ?, ?)",
        account.id,
        name,
        number,
        account.created_at,
    )
    return account


def users(reads: Reads, account: str) -> list[User]:
    rows = reads.query("SELECT * FROM users WHERE account_id = ? ORDER BY name", account)
    return [_user(row) for row in rows]


def find_user(reads: Reads, account: str, name: str) -> User | None:
    row = reads.one("SELECT * FROM users WHERE account_id = ? AND name = ?", account, name)
    return None if row is None else _user(row)


def user(reads: Reads, account: str, name: str) -> User:
    found = find_user(reads, account, name)
    if found is None:
        raise IdentityError(f"There is no user {name} in account {account}. See: outcrop users list")
    return found


def add_user(transaction: Transaction, account: str, name: str, *, boundary: str | None = None) -> User:
    """Without a policy, so that he may do nothing yet."""
    check_name(name, "user")
    if find_user(transaction, account, name) is not None:
        raise IdentityError(f"There is a user {name} in account {account} already.")
    made = User(f"AIDA{new_id(16, BASE32)}", account, name, boundary, now())
    transaction.execute(
        "INSERT INTO users (id, account_id, name, boundary, created_at) VALUES (?, ?, ?, ?, ?)",
        made.id,
        account,
        name,
        boundary,
        made.created_at,
    )
    return made


def remove_user(transaction: Transaction, gone: User) -> None:
    """With all keys."""
    for table in ("access_keys", "api_keys"):
        transaction.execute(f"DELETE FROM {table} WHERE user_id = ?", gone.id)  # noqa: S608 - one of two words
    _forget_principal(transaction, gone.id)
    transaction.execute("DELETE FROM users WHERE id = ?", gone.id)


def roles(reads: Reads, account: str) -> list[Role]:
    rows = reads.query("SELECT * FROM roles WHERE account_id = ? ORDER BY name", account)
    return [_role(row) for row in rows]


def find_role(reads: Reads, account: str, name: str) -> Role | None:
    row = reads.one("SELECT * FROM roles WHERE account_id = ? AND name = ?", account, name)
    return None if row is None else _role(row)


def role(reads: Reads, account: str, name: str) -> Role:
    found = find_role(reads, account, name)
    if found is None:
        raise IdentityError(f"There is no role {name} in account {account}. See: outcrop roles list")
    return found


def role_of_arn(reads: Reads, text: str) -> Role | None:
    """None for any other spelling of the ARN, a path before the name included: it would be another name in policies."""
    try:
        arn = arns.parse(text)
    except ValueError:
        return None
    if arn.service != "iam" or not arn.resource.startswith("role/"):
        return None
    found = find_role(reads, arn.account, arn.resource.removeprefix("role/"))
    return found if found is not None and found.arn == text else None


def add_role(
    transaction: Transaction,
    account: str,
    name: str,
    trust: str,
    *,
    max_session_seconds: int = SHORTEST_SESSION_SECONDS,
    boundary: str | None = None,
) -> Role:
    """`trust` is a trust policy that was read without complaint."""
    check_name(name, "role")
    if not SHORTEST_SESSION_SECONDS <= max_session_seconds <= LONGEST_SESSION_SECONDS:
        raise IdentityError(
            f"A role's longest session is {SHORTEST_SESSION_SECONDS} to {LONGEST_SESSION_SECONDS} seconds long."
        )
    if find_role(transaction, account, name) is not None:
        raise IdentityError(f"There is a role {name} in account {account} already.")
    made = Role(f"AROA{new_id(16, BASE32)}", account, name, trust, max_session_seconds, boundary, now())
    transaction.execute(
        "INSERT INTO roles (id, account_id, name, trust, max_session_seconds, boundary, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        made.id,
        account,
        name,
        trust,
        max_session_seconds,
        boundary,
        made.created_at,
    )
    return made


def remove_role(transaction: Transaction, gone: Role) -> None:
    """Its sessions can do nothing from then on."""
    _forget_principal(transaction, gone.id)
    transaction.execute("DELETE FROM roles WHERE id = ?", gone.id)


def set_boundary(transaction: Transaction, principal: User | Role, policy_arn: str | None) -> None:
    table = "users" if isinstance(principal, User) else "roles"
    transaction.execute(f"UPDATE {table} SET boundary = ? WHERE id = ?", policy_arn, principal.id)  # noqa: S608


def tag(transaction: Transaction, principal_id: str, tags: Mapping[str, str]) -> None:
    for key, value in tags.items():
        if not _TAG_KEY.fullmatch(key) or key.lower().startswith("aws:") or len(value) > 256:
            raise IdentityError(f"{key}={value} is no tag: a key has 1 to 128 characters, a value up to 256.")
        transaction.execute(
            "INSERT INTO principal_tags (principal_id, key, value) VALUES (?, ?, ?) "
            "ON CONFLICT (principal_id, key) DO UPDATE SET value = excluded.value",
            principal_id,
            key,
            value,
        )


def tags(database: Database, principal_id: str) -> dict[str, str]:
    rows = database.query("SELECT key, value FROM principal_tags WHERE principal_id = ? ORDER BY key", principal_id)
    return {row["key"]: row["value"] for row in rows}


def check_name(name: str, what: str) -> None:
    if not _NAME.fullmatch(name):
        article = "An" if what[0] in "aeio" else "A"
        raise IdentityError(f"{article} {what} name has 1 to 64 letters, digits or any of +=,.@_-")


def names_of(rows: Iterable[User | Role]) -> list[str]:
    return [row.name for row in rows]


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _forget_principal(transaction: Transaction, principal_id: str) -> None:
    transaction.execute("DELETE FROM policy_attachments WHERE principal_id = ?", principal_id)
    transaction.execute("DELETE FROM principal_tags WHERE principal_id = ?", principal_id)


def _user(row: Row) -> User:
    return User(row["id"], row["account_id"], row["name"], row["boundary"], row["created_at"])


def _role(row: Row) -> Role:
    return Role(
        row["id"],
        row["account_id"],
        row["name"],
        row["trust"],
        row["max_session_seconds"],
        row["boundary"],
        row["created_at"],
    )
