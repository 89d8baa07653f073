"""What would be decided for a user or role who does not call at the moment."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from outcrop.identity import arns
from outcrop.identity.access import Access
from outcrop.identity.accounts import Role, User
from outcrop.identity.caller import Caller, Session
from outcrop.identity.request_keys import ResourceKeys, known_keys
from outcrop.request import HttpRequest
from outcrop.store.database import Database

_SESSION = "simulated"


def caller_of(principal: User | Role) -> Caller:
    """As somebody who calls: the user, or a session of the role without further limits."""
    if isinstance(principal, User):
        return Caller(principal.account, principal.arn, principal.id, "", "sigv4")
    now = datetime.now(UTC).timestamp()
    return Caller(
        principal.account,
        arns.assumed_role(principal.account, principal.name, _SESSION),
        f"{principal.id}:{_SESSION}",
        "",
        "sigv4",
        session=Session(principal.id, principal.arn, now, now + 3600),
    )


def keys_of(
    caller: Caller, access: Access, given: Sequence[tuple[str, str]], resource: str, database: Database
) -> ResourceKeys:
    """The condition keys of such a call, now and in us-east-1, and those `given`, which may be repeated and win."""
    request = HttpRequest("POST", "/", "", [])
    known = known_keys(caller, access.grants(caller.principal_id), request, "us-east-1", datetime.now(UTC))
    more: dict[str, tuple[str, ...]] = {}
    for key, value in given:
        more[key.lower()] = (*more.get(key.lower(), ()), value)

    def tags(arn: str) -> dict[str, str]:
        rows = database.query("SELECT key, value FROM tags WHERE resource_arn = ?", arn)
        return {row["key"]: row["value"] for row in rows}

    return ResourceKeys(known, more, resource, tags)
