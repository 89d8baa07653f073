"""Who may be a role, for how long, and with which further limits."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from outcrop.errors import AwsError
from outcrop.identity import accounts
from outcrop.identity.access import Access
from outcrop.identity.accounts import Role
from outcrop.identity.caller import Caller, Session
from outcrop.identity.policies import rows
from outcrop.identity.policies.compiled import Policy
from outcrop.identity.policies.compiled import policy as compiled
from outcrop.identity.policies.decision import Policies, decide
from outcrop.identity.policies.document import LONGEST_SESSION, MalformedPolicy, read
from outcrop.identity.policies.query import Query, Subject
from outcrop.identity.request_keys import Known, request_tags
from outcrop.identity.sessions import TemporaryKey, issue
from outcrop.store.database import Database
from outcrop.store.keyfile import Vault

ASSUME, TAG = "sts:AssumeRole", "sts:TagSession"
SHORTEST_SECONDS = 900
DEFAULT_SECONDS = 3600
# However long the role's sessions may be, one that a session of another role asks for ends within the hour.
CHAINED_SECONDS = 3600
MOST_TAGS = 50
MOST_POLICIES = 10

_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)
_TAG = re.compile(r"[\w .:/=+@-]*")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What AssumeRole is asked for. `policy` is a document, `policy_arns` name others, `seconds` is the session's life."""

    role_arn: str
    name: str
    seconds: int | None = None
    policy: str | None = None
    policy_arns: tuple[str, ...] = ()
    external_id: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Assumed:
    role: Role
    key: TemporaryKey
    packed_percent: int


class Assuming:
    def __init__(self, database: Database, vault: Vault, access: Access, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._vault = vault
        self._access = access
        self._clock = clock

    def assume(self, caller: Caller, wanted: Wanted, keys: Known) -> Assumed:
        """AwsError in the token service's words. Whether a role exists is told to nobody who may not be it."""
        _check(wanted)
        role = accounts.role_of_arn(self._database, wanted.role_arn)
        if role is None:
            raise _denied(caller, ASSUME, wanted.role_arn)
        self._require(caller, role, wanted, keys)
        seconds = _seconds(caller, role, wanted)
        now = self._clock().timestamp()
        session = Session(
            role_id=role.id,
            role_arn=role.arn,
            issued_at=now,
            expires_at=now + seconds,
            policies=() if wanted.policy is None else (wanted.policy,),
            policy_arns=tuple(self._policy_arn(role, arn) for arn in wanted.policy_arns),
            tags=tuple(wanted.tags.items()),
        )
        packed = len(wanted.policy or "") * 100 // LONGEST_SESSION
        return Assumed(role, issue(self._vault, role.account, wanted.name, session), packed)

    def _require(self, caller: Caller, role: Role, wanted: Wanted, keys: Known) -> None:
        keys = {**keys, **request_tags(wanted.tags), "sts:rolesessionname": (wanted.name,)}
        if wanted.external_id is not None:
            keys["sts:externalid"] = (wanted.external_id,)
        trust = _trust(role)
        for action in (ASSUME, TAG) if wanted.tags else (ASSUME,):
            decision = self._access.decide(caller, action, role.arn, keys, owner=role.account, trust=trust)
            if not decision.allowed:
                raise _denied(caller, action, role.arn)

    def _policy_arn(self, role: Role, arn: str) -> str:
        found = rows.find(self._database, role.account, arn)
        if found is None or found.arn != arn:
            raise invalid(f"The policy {arn} does not exist in the account of the role.")
        return arn


def trusts(role: Role, service: str, keys: Known) -> bool:
    """Whether a service of Amazon's may be the role."""
    query = Query(Subject(role.account, service, service=service), ASSUME, role.arn, role.account, keys)
    return decide(query, Policies(resource=_trust(role), trusted=True)).allowed


def invalid(message: str) -> AwsError:
    return AwsError(message, code="ValidationError", status=400)


def _trust(role: Role) -> Policy:
    return compiled(role.arn, role.trust, "trust")


def _denied(caller: Caller, action: str, role_arn: str) -> AwsError:
    return AwsError(
        f"User: {caller.arn} is not authorized to perform: {action} on resource: {role_arn}",
        code="AccessDenied",
        status=403,
    )


def _seconds(caller: Caller, role: Role, wanted: Wanted) -> int:
    chained = caller.session is not None
    if wanted.seconds is None:
        return DEFAULT_SECONDS
    if chained and wanted.seconds > CHAINED_SECONDS:
        raise invalid(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
        )
    if wanted.seconds > role.max_session_seconds:
        raise invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    return wanted.seconds


def _check(wanted: Wanted) -> None:
    if not _SESSION_NAME.fullmatch(wanted.name):
        raise invalid("The RoleSessionName must have 2 to 64 letters, digits or any of _+=,.@-")
    if wanted.external_id is not None and not _EXTERNAL_ID.fullmatch(wanted.external_id):
        raise invalid("The ExternalId must have 2 to 1224 letters, digits or any of _+=,.@:/-")
    if wanted.seconds is not None and not SHORTEST_SECONDS <= wanted.seconds <= accounts.LONGEST_SESSION_SECONDS:
        raise invalid(f"The DurationSeconds must be from {SHORTEST_SECONDS} to {accounts.LONGEST_SESSION_SECONDS}.")
    if len(wanted.policy_arns) > MOST_POLICIES:
        raise invalid(f"No more than {MOST_POLICIES} PolicyArns may be given.")
    _check_tags(wanted.tags)
    if wanted.policy is not None:
        if len(wanted.policy) > LONGEST_SESSION:
            raise AwsError(
                f"The session policy has {len(wanted.policy)} characters; it may have {LONGEST_SESSION}.",
                code="PackedPolicyTooLarge",
                status=400,
            )
        try:
            read(wanted.policy)
        except MalformedPolicy as problem:
            raise AwsError(str(problem), code="MalformedPolicyDocument", status=400) from None


def _check_tags(tags: Mapping[str, str]) -> None:
    if len(tags) > MOST_TAGS:
        raise invalid(f"No more than {MOST_TAGS} tags may be given.")
    if len({key.lower() for key in tags}) < len(tags):
        raise invalid("The tags contain a key more than once. The case of keys does not matter.")
    for key, value in tags.items():
        fits = 1 <= len(key) <= 128 and len(value) <= 256 and _TAG.fullmatch(key) and _TAG.fullmatch(value)
        if not fits or key.lower().startswith("aws:"):
            raise invalid(f"The tag {key[:128]} is not valid.")
